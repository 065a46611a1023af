"""One export: its folder in the job's output folder, and the check of its counts at the end."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.export.leftovers import delete_parts, running
from beam_job.export.outcomes import FAILED, KEPT, LEFT_OUT, STAGE, UNCHANGED, WRITTEN
from beam_job.files.whole import has_folders, write_whole
from beam_job.runs.manifest import MANIFEST, UnbalancedError
from beam_job.runs.run import Moment, new_id
from beam_job.runs.shards import Shard, delete_orphans

EXPORTS = "exports"
"""The folder in the job's output folder that collects exports."""

XMP = "xmp"
"""What ``--to`` says of an export to sidecars."""


@dataclass(frozen=True)
class Export:
    """One export and its options.

    Attributes:
      output: the job's output folder.
      options: the export's options.
      began: the start time.
      id: the name of the export; ids sort by time.
    """

    output: str
    options: Mapping[str, Any]
    began: Moment = field(default_factory=Moment.now)
    id: str = field(default_factory=lambda: new_id(datetime.now(UTC)))

    @property
    def directory(self) -> str:
        return FileSystems.join(self.output, EXPORTS, self.id)

    def start(self) -> None:
        """Creates the export's folder; raises ``ValueError`` if that is not possible."""
        try:
            if has_folders(self.output):
                FileSystems.mkdirs(self.directory)
        except Exception as error:  # file systems raise what they like
            raise ValueError(f"{self.output}: the export's manifest cannot be written there ({error}).") from error

    def running(self) -> AbstractContextManager[None]:
        """While it is entered, other exports leave this one's parts alone; it deletes those of killed ones."""
        if "://" in self.output:
            return nullcontext()
        delete_parts(FileSystems.join(self.output, EXPORTS))
        return running(self.directory)

    def finish(
        self,
        read: Iterable[int],
        counted: Iterable[tuple[tuple[str, str | None], int]],
        failures: Iterable[Shard],
        examples: Iterable[list[Any]] = (),
        passed_over: Iterable[int] = (),
    ) -> dict[str, Any]:
        """Checks that the counts add up, and writes the manifest.

        Args:
          read: numbers of captions read.
          counted: numbers of captions for each outcome, and for each code of a failure or reason to leave out.
          failures: the shards of records that were written.
          examples: files and captions that a dry run would write.
          passed_over: numbers of lines and files of runs that could not be read, when all of them count: for --undo.

        Raises:
          UnbalancedError: read is not written + unchanged + kept + left out + failed; no manifest is written.
        """
        found: dict[str, Counter[str]] = {what: Counter() for what in (WRITTEN, UNCHANGED, KEPT, LEFT_OUT, FAILED)}
        for (what, code), number in counted:
            found[what][f"{STAGE}/{code}" if what == FAILED else code or ""] += number
        counts = {"read": sum(read), **{what: codes.total() for what, codes in found.items()}}
        shards = sorted(failures, key=lambda shard: shard.name)
        recorded = sum(shard.records for shard in shards)
        if counts["read"] != sum(counts.values()) - counts["read"] or recorded != counts[FAILED]:
            raise UnbalancedError(
                f"The counts of export {self.id} are inconsistent: read is not written + unchanged + kept + left out "
                f"+ failed: {counts}, {recorded} failures recorded. Its files are complete; export again."
            )
        seconds = Moment.now().seconds_since(self.began)
        manifest = {
            "id": self.id,
            "options": dict(self.options),
            "started": self.began.wall.isoformat(timespec="seconds"),
            "finished": (self.began.wall + timedelta(seconds=seconds)).isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "counts": counts,
            "left_out_by_reason": dict(sorted(found[LEFT_OUT].items())),
            "failures_by_code": dict(sorted(found[FAILED].items())),
            "passed_over": sum(passed_over),
            "failures": [shard.entry() for shard in shards],
            "examples": [list(example) for listed in examples for example in listed],
        }
        data = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        write_whole(FileSystems.join(self.directory, MANIFEST), data.encode("utf-8", "backslashreplace"))
        delete_orphans(self.directory, "failures", {shard.name for shard in shards})
        return manifest
