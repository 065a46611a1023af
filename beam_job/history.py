"""What earlier runs have captioned, and what is left to do.

A run counts as earlier work when it was started with the same model and the same decoding options. Of a run that ended
well, the files that its manifest names are read; of one that was killed, every complete file that it left.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.counters import TO_CAPTION, count
from beam_job.decoding import Decoding
from beam_job.run import MANIFEST, STARTED, Run
from beam_job.shards import files_in

_DONE = True  # stands where listed URIs have the fields they carry, which are a dictionary or None
_COUNTS = "counts"


class ReadCaptioned(beam.PTransform):
    """Reads the URIs that earlier runs of ``run.output`` have captioned in the same way, as keys.

    ``recaption`` makes it read none.
    """

    def __init__(self, run: Run, recaption: bool = False) -> None:
        super().__init__()
        self._run = run
        self._recaption = recaption

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[tuple[str, bool]]:
        outputs = [] if self._recaption else [self._run.output]
        return (
            pbegin
            | "Output" >> beam.Create(outputs)
            | "EarlierRuns" >> beam.FlatMap(earlier_runs, self._run.id)
            | "ReshuffleRuns" >> beam.Reshuffle()
            | "CaptionFiles" >> beam.FlatMap(caption_files, self._run.model, self._run.options["decoding"])
            | "ReshuffleFiles" >> beam.Reshuffle()
            | "CaptionedUris" >> beam.FlatMap(captioned_uris).with_output_types(tuple[str, Any])
        )


class TakeNew(beam.PTransform):
    """Keeps one row for each URI that was listed and is not captioned yet.

    Takes the collections of listed (URI, carried fields) and captioned (URI, True); returns the new (URI, carried
    fields) and the numbers of the others, (duplicates, captioned). All that is shuffled for it are the URIs.
    """

    def expand(self, listed_and_captioned: Any) -> Any:
        taken = (
            listed_and_captioned
            | beam.Flatten()
            | "ByUri" >> beam.GroupByKey()
            | "Take" >> beam.ParDo(_Take()).with_outputs(_COUNTS, main="new").with_output_types(tuple[str, Any])
        )
        return taken.new, taken[_COUNTS]


class _Take(beam.DoFn):
    def start_bundle(self) -> None:
        self._duplicates = self._skipped = 0

    def process(self, grouped: tuple[str, Iterable[Any]]) -> Iterator[tuple[str, dict[str, Any] | None]]:
        uri, rows = grouped
        listed, done, carried = 0, False, None
        for row in rows:  # never a list: one URI may have been listed a million times
            if row is _DONE:
                done = True
                continue
            if not listed:
                carried = row
            listed += 1
        if not listed:
            return
        self._duplicates += listed - 1
        if done:
            self._skipped += 1
        else:
            count(TO_CAPTION)
            yield uri, carried

    def finish_bundle(self) -> Iterator[Any]:
        known = (self._duplicates, self._skipped)
        yield TaggedOutput(_COUNTS, WindowedValue(known, MIN_TIMESTAMP, (GlobalWindow(),)))


def earlier_runs(output: str, this_run: str) -> list[str]:
    """The folders of the runs in ``output``, without this one."""
    folders = (path.removesuffix(STARTED).rstrip("/\\") for path in files_in(output, "run=*", STARTED))
    return [folder for folder in folders if not folder.endswith(f"run={this_run}")]


def caption_files(folder: str, model: str, decoding: Mapping[str, Any]) -> list[str]:
    """The complete files of captions in a run's folder, none where it ran another model or decoded otherwise."""
    started = _read_json(FileSystems.join(folder, STARTED))
    if started is None or started.get("model") != model:
        return []
    # An option that is younger than the run had no effect on it: its default.
    if {**asdict(Decoding()), **started.get("options", {}).get("decoding", {})} != dict(decoding):
        return []
    manifest_path = FileSystems.join(folder, MANIFEST)
    manifest = _read_json(manifest_path) if FileSystems.exists(manifest_path) else None
    if manifest is not None:
        return [FileSystems.join(folder, shard["name"]) for shard in manifest["captions"]]
    return files_in(folder, "captions-*.jsonl")


def captioned_uris(path: str) -> Iterator[tuple[str, bool]]:
    """The URIs in a file of captions. Where it was deleted, its images are captioned again."""
    if not FileSystems.exists(path):
        logging.warning("%s is gone: its images are captioned again.", path)
        return
    with FileSystems.open(path) as file:
        for line in iter(file.readline, b""):
            yield json.loads(line)["uri"], _DONE


def _read_json(path: str) -> dict[str, Any] | None:
    try:
        with FileSystems.open(path) as file:
            found = json.loads(file.read())
    except ValueError:  # half of a file, left by something other than this job
        logging.warning("%s is not valid JSON: it is passed over.", path)
        return None
    return found if isinstance(found, dict) else None
