"""A run's documents: ``run.json`` at its start, and ``manifest.json``, written last and only if its counts add up."""

import io
import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job import __version__
from beam_job.files.whole import write_whole
from beam_job.records import CHANGED, KNOWN, TOUCHED
from beam_job.runs.shards import Shard

STARTED = "run.json"
MANIFEST = "manifest.json"


class UnbalancedError(RuntimeError):
    """The counts of a run do not add up: something was lost or written twice."""


def write_manifest(
    directory: str,
    about: Mapping[str, Any],
    read: Iterable[int],
    compared: Iterable[tuple[int, int, int]],
    captions: Iterable[Shard],
    failures: Iterable[Shard],
    passed_over: Iterable[int],
    left_out: Iterable[int],
) -> dict[str, Any]:
    """Checks that the counts of a run add up, and writes its manifest, which is returned.

    Args:
      directory: the run's folder.
      about: the run's id, options and times; the first entries of the manifest.
      read: numbers of rows read, duplicates included.
      compared: numbers of (duplicates, URIs that earlier runs have captioned, those of them without a version).
      captions, failures: the shards of records that were written; the manifest has them by name.
      passed_over: numbers of lines and files of earlier runs that could not be read.
      left_out: numbers of files and folders that globs left out; not part of the counts.

    Raises:
      UnbalancedError: input is not captioned + failed + skipped + duplicates; no manifest is written.
    """
    captions, failures = (sorted(shards, key=lambda shard: shard.name) for shards in (captions, failures))
    duplicates, skipped, unversioned = (sum(counts) for counts in zip((0, 0, 0), *compared, strict=True))
    by_device: Counter[str] = sum((Counter(shard.counts) for shard in captions), Counter())
    changed, touched = (by_device.pop(key, 0) for key in (CHANGED, TOUCHED))
    counts = {
        "input": sum(read),
        "captioned": sum(shard.records for shard in captions) - touched,
        "failed": sum(shard.records for shard in failures),
        "skipped": skipped + touched,
        "duplicates": duplicates,
    }
    if counts["input"] != sum(counts.values()) - counts["input"]:
        raise UnbalancedError(
            f"The counts of run {about['id']} are inconsistent: input is not captioned + failed + skipped + "
            f"duplicates: {counts}. Its captions are kept in {directory}; run the job again."
        )
    by_code: Counter[str] = sum((Counter(shard.counts) for shard in failures), Counter())
    known = by_code.pop(KNOWN, 0)
    manifest = {
        **about,
        "counts": counts,
        "changed": changed,
        "touched": touched,
        "unversioned": unversioned,
        "left_out": sum(left_out),
        "failures_by_code": dict(sorted(by_code.items())),
        "known_failures": known,
        "passed_over": sum(passed_over),
        "devices": sorted(by_device),
        "versions": {
            "python": platform.python_version(),
            "beam_job": __version__,
            **{name: version(name) for name in ("apache-beam", "tensorflow", "pillow")},
        },
        "captions": [{**shard.entry(), "touched": shard.counts.get(TOUCHED, 0)} for shard in captions],
        "failures": [{**shard.entry(), "known": shard.counts.get(KNOWN, 0)} for shard in failures],
    }
    write_document(directory, MANIFEST, manifest)
    return manifest


def own_manifest(directory: str) -> dict[str, Any] | None:
    """The manifest that a run or an export of this program has just written; ``None`` where it ended without one.

    Folders that others may have written are read by ``runs.folder``.
    """
    path = FileSystems.join(directory, MANIFEST)
    if not FileSystems.exists(path):
        return None
    with FileSystems.open(path) as file:
        manifest: dict[str, Any] = json.load(file)
    return manifest


def write_document(directory: str, name: str, content: Mapping[str, Any]) -> None:
    """Writes a JSON document into a run's folder, whole or not at all."""
    data = io.BytesIO()  # its value is no second copy, and a text of many files would be in memory three times
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(content):
        data.write(piece.encode())
    data.write(b"\n")
    write_whole(FileSystems.join(directory, name), data.getvalue())
