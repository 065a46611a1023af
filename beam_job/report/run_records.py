"""A run's files, read back: what it says of itself, and its records one at a time."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_job.run import MANIFEST, STARTED
from beam_job.shards import files_in


class ReportError(ValueError):
    """A run that cannot be reported on; the message says why and what to do."""


@dataclass
class RunRecords:
    """The records of one run, on any file system that Beam reads.

    Attributes:
      directory: the run's own folder.
      about: its manifest, or what it wrote at its start where it has not ended.
      finished: whether there is a manifest.
      problems: sentences about files that are not what the manifest says; filled while records are read.
    """

    directory: str
    about: Mapping[str, Any]
    finished: bool
    problems: list[str] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do: earlier runs had captioned all. A failure, even one tried again, counts."""
        counts = self.about.get("counts", {})
        return self.finished and counts.get("captioned") == counts.get("failed") == 0 < counts.get("skipped", 0)

    def read(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yields the records of ``kind``, "captions" or "failures", a line at a time.

        A finished run's files are those that its manifest names: others were left by attempts that were made again.
        """
        for shard in self._shards(kind):
            yield from self._read(shard)

    def _shards(self, kind: str) -> list[Mapping[str, Any]]:
        if self.finished:
            return list(self.about.get(kind, []))
        return [{"name": FileSystems.split(path)[1]} for path in files_in(self.directory, f"{kind}-*.jsonl")]

    def _read(self, shard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        name, digest, lines, unreadable = shard["name"], hashlib.sha256(), 0, 0
        path = FileSystems.join(self.directory, name)
        try:
            with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                while line := file.readline():
                    digest.update(line)
                    lines += 1
                    try:
                        record = json.loads(line)
                    except ValueError:
                        record = None
                    if isinstance(record, dict) and isinstance(record.get("uri"), str):
                        yield record
                    else:
                        unreadable += 1
        except OSError as error:
            self.problems.append(f"{name} cannot be read: {error}")
            return
        if unreadable:
            self.problems.append(f"{name}: {unreadable} of {lines} lines hold no record.")
        elif "records" in shard and shard["records"] != lines:
            self.problems.append(f"{name} has {lines} records; the manifest says {shard['records']}.")
        elif "sha256" in shard and shard["sha256"] != digest.hexdigest():
            self.problems.append(f"{name} was changed after the run: its digest is not the manifest's.")


def open_run(path: str) -> RunRecords:
    """Finds a run: ``path`` is its own folder, or the folder that collects runs.

    Of several the latest is taken, but for those that found nothing new: the same command again, when all was done.

    Raises:
      ReportError: there is no run at ``path``.
    """
    run = _open(path)
    if run is not None:
        return run
    latest = None
    for directory in sorted(_runs(path), reverse=True):  # a run's name starts with the time of its start
        run = _open(directory)
        if run is not None and not run.idle:
            return run
        latest = latest or run
    if latest is not None:
        return latest
    raise ReportError(
        f"{path}: there is no run here; name the folder that was given as --output, or one run=<id> in it."
    )


def _runs(path: str) -> set[str]:
    try:
        return {FileSystems.split(found)[0] for found in files_in(path, "run=*", "*.json")}
    except Exception as error:  # file systems raise what they like
        raise ReportError(f"{path}: cannot be listed ({error}).") from error


def _open(directory: str) -> RunRecords | None:
    for name in (MANIFEST, STARTED):
        path = FileSystems.join(directory, name)
        try:
            if not FileSystems.exists(path):
                continue
            with FileSystems.open(path) as file:
                about = json.loads(file.read())
        except Exception as error:
            raise ReportError(f"{path}: cannot be read ({error}).") from error
        if not isinstance(about, dict) or "id" not in about:
            raise ReportError(f"{path}: this is not the manifest of a run; name a folder run=<id>.")
        return RunRecords(directory, about, finished=name == MANIFEST)
    return None
