"""One run of the job: its folder, what was asked for, and the books that are closed at its end."""

import json
import platform
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job import __version__
from beam_job.shards import Shard, write_whole

STARTED = "run.json"
MANIFEST = "manifest.json"


class UnbalancedError(RuntimeError):
    """The counts of a run do not add up: something was lost or written twice."""


@dataclass(frozen=True)
class Run:
    """What a run was asked to do. ``run.json`` holds it from the start, ``manifest.json`` repeats it at the end.

    Attributes:
      output: the folder that collects runs.
      model: fingerprint of the model.
      options: the job's options, decoding included.
      id: names the run; sorts by time.
      started: when, ISO 8601 in UTC.
    """

    output: str
    model: str
    options: Mapping[str, Any]
    started: str = field(default_factory=lambda: _now().isoformat(timespec="seconds"))
    id: str = field(default_factory=lambda: f"{_now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}")

    @property
    def directory(self) -> str:
        return FileSystems.join(self.output, f"run={self.id}")

    def start(self) -> None:
        """Makes the run's folder and writes ``run.json``; raises ``ValueError`` where that can't be done."""
        try:
            if "://" not in self.output:
                FileSystems.mkdirs(self.directory)
            write_whole(FileSystems.join(self.directory, STARTED), _json(asdict(self)))
        except Exception as error:  # file systems raise what they like
            raise ValueError(f"--output {self.output}: cannot be written ({error}).") from error

    def finish(
        self,
        listed: int,
        unique: int,
        captions: Iterable[Shard],
        failures: Iterable[Shard],
        failures_by_code: Mapping[str, int],
        devices: Iterable[str],
    ) -> dict[str, Any]:
        """Checks that the counts add up and writes the manifest, the last file of a run.

        Args:
          listed: URIs read, duplicates included.
          unique: URIs without duplicates.
          captions, failures: the shards of records that were written.
          failures_by_code: failures under ``stage/error``.
          devices: what the model ran on.

        Raises:
          UnbalancedError: input is not captioned + failed + duplicates.
        """
        captions, failures = (sorted(shards, key=lambda shard: shard.name) for shards in (captions, failures))
        counts = {
            "input": listed,
            "captioned": sum(shard.records for shard in captions),
            "failed": sum(shard.records for shard in failures),
            "duplicates": listed - unique,
        }
        if unique != counts["captioned"] + counts["failed"] or counts["failed"] != sum(failures_by_code.values()):
            raise UnbalancedError(
                f"The books of run {self.id} do not balance: {counts}, failures by code {dict(failures_by_code)}. "
                f"Its records are in {self.directory}; run the job again."
            )
        finished = _now()
        manifest = {
            **asdict(self),
            "finished": finished.isoformat(timespec="seconds"),
            "seconds": round((finished - datetime.fromisoformat(self.started)).total_seconds(), 1),
            "counts": counts,
            "failures_by_code": dict(sorted(failures_by_code.items())),
            "devices": sorted(devices),
            "versions": {
                "python": platform.python_version(),
                "beam_job": __version__,
                **{name: version(name) for name in ("apache-beam", "tensorflow", "pillow")},
            },
            "captions": [asdict(shard) for shard in captions],
            "failures": [asdict(shard) for shard in failures],
        }
        write_whole(FileSystems.join(self.directory, MANIFEST), _json(manifest))
        return manifest


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
