"""Reads a run's folder: the run's description, and which files hold its records.

Anyone who can write to the output folder can put anything there. So nothing outside a run's own folder is read, and
everything that the job would not write is named in a warning and ignored.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import LINK, UnreadableError, is_number, is_text, read_document
from beam_job.files.in_folder import files_in
from beam_job.files.switch import SWITCH, places, read_switch
from beam_job.messages.quantity import quantity
from beam_job.messages.quoting import quoted
from beam_job.model.decoding import Decoding
from beam_job.runs.manifest import MANIFEST, STARTED
from beam_job.runs.shards import run_id

CAPTIONS, FAILURES = "captions", "failures"
PRUNED = "pruned"
"""The key under which a run's document says which prunes have removed records."""

PRUNED_FILE = "-pruned.jsonl"
"""How the names of files end that a prune has written; they count where a document names them."""

_COUNTS = ("input", "captioned", "failed", "skipped", "duplicates", PRUNED)
_DEPTH = 16  # of options within options
_TEXT = 1000  # characters of a name, a time, a fingerprint


@dataclass
class RunFolder:
    """One run, on any file system that Beam reads.

    Attributes:
      directory: the run's own folder.
      about: its manifest, or ``run.json`` if the run has not finished; the types of the fields are checked.
      finished: whether there is a readable manifest.
      problems: sentences about everything that the job would not write; filled while records are read.
      document: the whole document from which ``about`` was taken, as it was read.
    """

    directory: str
    about: Mapping[str, Any]
    finished: bool
    problems: list[str] = field(default_factory=list)
    document: Mapping[str, Any] = field(default_factory=dict)
    _listed: list[str] | None = field(default=None, repr=False, compare=False)

    @property
    def id(self) -> str:
        """By its name: that is how the records of the run say it, too."""
        return run_id(self.directory)

    @property
    def settings(self) -> tuple[str, dict[str, Any]]:
        """The model's fingerprint and the decoding options: runs with the same settings give the same captions."""
        # An option that is younger than the run had no effect on it: its default.
        return self.about["model"], {**asdict(Decoding()), **self.about["options"].get("decoding", {})}

    def files(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """The run's files of ``kind``, ``CAPTIONS`` or ``FAILURES``: paths, and their entries in the manifest.

        The files of a finished run are those that its manifest names; retried bundles may have left others. Of a killed
        run all files count, until a prune names those that do. They are listed once, so that who reads a run a second
        time, while it goes on, reads the same files.
        """
        named = re.compile(rf"{kind}-[\w-]+\.jsonl", re.ASCII)
        if kind not in self.about:
            if self._listed is None:
                self._listed = self._names()
            wanted = (name for name in self._listed if named.fullmatch(name) and not name.endswith(PRUNED_FILE))
            return {FileSystems.join(self.directory, name): {} for name in wanted}
        found, odd = {}, []
        for entry in self.about[kind]:
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and named.fullmatch(name):
                found[FileSystems.join(self.directory, name)] = entry
            else:
                odd.append(name)
        if odd:
            files = quantity(len(odd), "file")
            self.problems.append(f"{MANIFEST} names {files} that a run does not write, such as {quoted(odd[0])}.")
        return found

    def _names(self) -> list[str]:
        """The names of the files of records that are there."""
        try:
            return [FileSystems.split(path)[1] for path in files_in(self.directory, "*.jsonl")]
        except PermissionError:
            self.problems.append("its files cannot be listed: this account lacks permission.")
            return []


def run_folders(output: str, unread: dict[str, str] | None = None) -> list[str]:
    """The folders of runs in ``output``, oldest first: a run's name starts with its start time.

    Among them are links and those that this account may not list, so that whoever opens them says so; ``unread`` takes
    these, too, as for ``files_in``.
    """
    closed: dict[str, str] = {} if unread is None else unread
    found = {FileSystems.split(path)[0] for path in files_in(output, "run=*", "*.json", unread=closed)}
    return sorted(folder for folder in found.union(closed) if is_text(folder))


def linked_runs(output: str) -> list[str]:
    """Runs in ``output`` that are links to folders, or to nothing, as where a disk is not mounted: none is read."""
    try:
        names = [] if "://" in output else sorted(os.listdir(output))
    except OSError:  # there is no run yet, or the next step says that it cannot be read
        names = []
    paths = [os.path.join(output, name) for name in names if name.startswith("run=")]
    return [path for path in paths if os.path.islink(path) and not os.path.isfile(path)]


def open_run_folder(directory: str, *, linked: bool = False) -> RunFolder:
    """Reads a run's description: its manifest, otherwise ``run.json``.

    Args:
      linked: the folder may be a link, as a person has named it.

    Raises:
      UnreadableError: neither exists, or neither is as the job writes it.
    """
    if not linked and os.path.islink(directory):
        raise UnreadableError(f"it {LINK}.")
    problems: list[str] = []
    output, own = FileSystems.split(directory)
    try:
        switch = read_switch(output)
    except UnreadableError as error:
        switch = None
        problems.append(f"{SWITCH} {error}.")
    for name in (MANIFEST, STARTED):
        try:
            for path in places(switch, output, f"{own}/{name}"):
                about = read_document(path)
                if about is not None:
                    finished = name == MANIFEST
                    return RunFolder(directory, _checked(about, finished=finished), finished, problems, about)
        except UnreadableError as error:
            problems.append(f"{name} {error}.")
    raise UnreadableError(" ".join(problems) or f"there is neither {MANIFEST} nor {STARTED}.")


def _checked(about: Mapping[str, Any], *, finished: bool) -> dict[str, Any]:
    """What a run says of itself, without what has another type than the job gives it; raises ``UnreadableError``."""
    found = {name: about[name] for name in ("started", "finished") if _is_short(about.get(name))}
    for name in ("id", "model"):
        if not _is_short(about.get(name)):
            raise UnreadableError(f"does not belong to a run: it has no {name}")
        found[name] = about[name]
    found["options"] = about.get("options")
    if not isinstance(found["options"], dict) or not isinstance(found["options"].get("decoding", {}), dict):
        raise UnreadableError("does not belong to a run: it has no options")
    for name in (CAPTIONS, FAILURES):
        if isinstance(about.get(name), list):
            found[name] = about[name]
        elif finished:
            raise UnreadableError(f"does not belong to a run: it names no files of {name}")
    if isinstance(about.get(PRUNED), list):
        found[PRUNED] = about[PRUNED]
    if not finished:
        return found
    counts = about.get("counts")
    if not isinstance(counts, dict) or not all(_is_count(count) for count in counts.values()):
        raise UnreadableError("does not belong to a run: its counts are not numbers")
    found["counts"] = {name: counts[name] for name in _COUNTS if name in counts}
    if is_number(about.get("seconds")):
        found["seconds"] = about["seconds"]
    if isinstance(about.get("devices"), list):
        found["devices"] = [device for device in about["devices"][:_DEPTH] if _is_short(device)]
    if isinstance(about.get("versions"), dict):
        found["versions"] = {name: version for name, version in about["versions"].items() if _is_short(version)}
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and is_number(value) and value >= 0


def _is_short(value: object) -> bool:
    return is_text(value) and len(str(value)) <= _TEXT
