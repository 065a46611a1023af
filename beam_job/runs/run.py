"""One run of the job: its folder, its options, its time, and how many failures it may have."""

import platform
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import UnreadableError, read_document
from beam_job.files.whole import has_folders
from beam_job.messages.quantity import quantity
from beam_job.messages.share import parse_share
from beam_job.model.decoding import decoding_digest
from beam_job.runs.manifest import STARTED, UnbalancedError, write_document, write_manifest
from beam_job.runs.shards import Shard, delete_orphans

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class TooManyFailuresError(RuntimeError):
    """The run finished with more failures than ``--max_failures`` allows."""


@dataclass(frozen=True)
class MaxFailures:
    """The allowed failures: a number of images, or a share of those that were tried."""

    limit: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> "MaxFailures":
        """Reads ``100`` (images), ``0.05`` or ``5%`` (of the images); raises ``ValueError``."""
        try:
            if text.endswith("%") or "." in text:
                return cls(parse_share(text), True)
            if int(text) >= 0:
                return cls(int(text), False)
        except ValueError:
            pass
        raise ValueError(f"--max_failures {text}: choose a number of images (100) or a share of them (5% or 0.05).")

    def of(self, tried: int) -> float:
        """The number of failures that are allowed among ``tried`` images."""
        return self.limit * tried if self.is_share else self.limit


class Moment(NamedTuple):
    """A moment on two clocks of a machine.

    Attributes:
      machine: identifies the machine.
      steady: seconds on its monotonic clock.
      wall: the time of day.
    """

    machine: str
    steady: float
    wall: datetime

    @classmethod
    def now(cls) -> "Moment":
        return cls(_machine(), time.monotonic(), datetime.now(UTC))

    def seconds_since(self, earlier: "Moment") -> float:
        """The duration by the monotonic clock, or by the time of day if the other moment is from another machine."""
        if self.machine == earlier.machine:
            return self.steady - earlier.steady
        return max((self.wall - earlier.wall).total_seconds(), 0.0)


def _machine() -> str:
    """Names this machine since it was started."""
    try:
        return _BOOT_ID.read_text()
    except OSError:  # not Linux
        return platform.node()


def new_id(started: datetime) -> str:
    """An id that sorts by the start time, to the microsecond, so that runs of one second keep their order.

    ``started`` is in UTC. The last digit is random, for runs that two machines start at the same time.
    """
    return f"{started:%Y%m%dT%H%M%SZ}-{started.microsecond:05x}{secrets.choice('0123456789abcdef')}"


@dataclass(frozen=True)
class Run:
    """One run and its options. ``run.json`` has them from the start, ``manifest.json`` repeats them at the end.

    Attributes:
      output: the folder that contains the runs.
      model: fingerprint of the model.
      options: the job's options, including decoding options.
      began: the start time.
      id: the name of the run; ids sort by time.
    """

    output: str
    model: str
    options: Mapping[str, Any]
    began: Moment = field(default_factory=Moment.now)
    id: str = field(default_factory=lambda: new_id(datetime.now(UTC)))

    @property
    def directory(self) -> str:
        return FileSystems.join(self.output, f"run={self.id}")

    def start(self) -> None:
        """Creates the run's folder and writes ``run.json``; raises ``ValueError`` if that is not possible."""
        try:
            if has_folders(self.output):
                FileSystems.mkdirs(self.directory)
            write_document(self.directory, STARTED, self._asked())
        except Exception as error:  # file systems raise what they like
            raise ValueError(f"--output {self.output}: cannot be written ({error}).") from error

    def finish(
        self,
        read: Iterable[int],
        compared: Iterable[tuple[int, int, int]],
        captions: Iterable[Shard],
        failures: Iterable[Shard],
        passed_over: Iterable[int] = (),
        left_out: Iterable[int] = (),
    ) -> dict[str, Any]:
        """Checks that the counts add up, writes the manifest, and deletes files that it does not name.

        The arguments are those of ``runs.manifest.write_manifest``.

        Raises:
          UnbalancedError: the counts do not add up, or the run was pruned meanwhile; no manifest is written.
        """
        self._check_unpruned()
        seconds = Moment.now().seconds_since(self.began)
        about = {
            **self._asked(),
            "finished": _iso(self.began.wall + timedelta(seconds=seconds)),
            "seconds": round(seconds, 1),
        }
        manifest = write_manifest(self.directory, about, read, compared, captions, failures, passed_over, left_out)
        for prefix in ("captions", "failures"):
            delete_orphans(self.directory, prefix, {entry["name"] for entry in manifest[prefix]})
        return manifest

    def _check_unpruned(self) -> None:
        """Raises ``UnbalancedError`` where a prune took this run for one that was killed, and replaced its files."""
        with suppress(UnreadableError):
            started = read_document(FileSystems.join(self.directory, STARTED))
            if started is not None and "pruned" in started:
                raise UnbalancedError(
                    f"Run {self.id} was pruned while it went on, as if it had been killed: some of its files are gone. "
                    "Run the job again."
                )

    def _asked(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "model": self.model,
            "decoding": decoding_digest(self.options.get("decoding", {})),
            "options": dict(self.options),
            "started": _iso(self.began.wall),
            "id": self.id,
        }

    def check_failures(self, manifest: Mapping[str, Any]) -> None:
        """Raises ``TooManyFailuresError`` if more images failed than ``max_failures`` allows.

        Known failures do not count, neither as failures nor among the images that were tried.
        """
        counts, known = manifest["counts"], manifest["known_failures"]
        text = self.options.get("max_failures")
        failed = counts["failed"] - known
        tried = counts["captioned"] + failed
        if text is not None and failed > MaxFailures.parse(text).of(tried):
            besides = f" (not counting {quantity(known, 'known failure')})" if known else ""
            raise TooManyFailuresError(
                f"{failed:,} of {quantity(tried, 'image')} failed{besides}, more than --max_failures {text} allows."
            )


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
