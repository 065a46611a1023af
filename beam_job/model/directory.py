"""The exported model directory, the contract between ``train`` and ``beam_job``.

A model directory contains the functions *encode* and *decode_step* (``encode.pb``, ``decode_step.pb`` and
``weights.npz``; in format version 1 a TensorFlow SavedModel), ``vocabulary.txt``, ``manifest.json``, if the model has
an image classifier ``labels.tsv``, and if it estimates the quality of its captions ``quality.npz``. It may be on any
file system that Beam reads. Every caption record has the model's fingerprint; ``open_model`` refuses a directory whose
files do not match it.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from beam_job.files.whole import write_whole
from beam_job.model.answer.labels import Labels
from beam_job.model.answer.quality import Quality
from beam_job.model.manifest import (
    LABELS,
    MODEL_MANIFEST,
    QUALITY,
    SAVED_MODEL,
    VOCABULARY,
    Manifest,
    ModelError,
    read_manifest,
)
from beam_job.model.vocabulary import Vocabulary

DEFAULT_MODEL = Path(__file__).parents[1] / "default_model"

_CHUNK = 1 << 20
_MOST_LABEL_BYTES = 16 << 20  # of labels.tsv; that of a thousand classes has 40 kilobytes
_SOON = 1.0  # seconds to create a file

_copies: list[Path] = []  # of remote models
_creating = threading.Lock()  # held while a folder or a file of a copy is created


@dataclass(frozen=True)
class OpenModel:
    """A checked model: ``directory`` is on the local disk, whatever file system the model came from.

    ``states`` has each file's state on the disk before it was checked. ``labels`` are the classes of its image
    classifier, ``quality`` what it expects of its captions, or ``None``.
    """

    directory: Path
    manifest: Manifest
    vocabulary: Vocabulary
    states: Mapping[str, "FileState | None"]
    labels: Labels | None = None
    quality: Quality | None = None

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    def check_unchanged(self) -> None:
        """Raises ``ModelError`` if a file was changed after it was checked: call it after the model is loaded."""
        for name, state in self.states.items():
            if _state(self.directory / name) != state:
                raise ModelError(
                    f"Model {self.directory}: {name} was changed while the model was loaded. Start again when nothing "
                    "writes there."
                )


def open_model(model: str | os.PathLike[str] = DEFAULT_MODEL, *, fingerprint: str | None = None) -> OpenModel:
    """Checks every file of a model directory against its manifest; a remote one is first copied to the local disk.

    Args:
      model: the directory, on any file system that Beam reads.
      fingerprint: the fingerprint that the model must have, if the caller knows it already.

    Raises:
      ModelError: the directory is missing, incomplete, of another format version, or not the requested model.
    """
    manifest = read_manifest(model)
    if fingerprint not in (None, manifest.fingerprint):
        raise ModelError(
            f"Model {model}: its fingerprint is {manifest.fingerprint}, but the job was started with {fingerprint}: "
            "the directory was replaced meanwhile. Start the job again."
        )
    directory = Path(model)
    if "://" in os.fspath(model):
        with _creating:
            directory = Path(tempfile.mkdtemp(prefix="caption-model-"))
            _copies.append(directory)
        for name in manifest.files:
            _copy(model, FileSystems.join(os.fspath(model), *name.split("/")), directory / name)
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            raise ModelError(
                f"Model {model}: {path.relative_to(directory)} is a symbolic link; replace it with a copy."
            )
    states = {name: _state(directory / name) for name in manifest.files}
    for name, digest in manifest.files.items():
        path = directory / name
        if not path.is_file():
            raise ModelError(f"Model {model}: {name} is missing; fetch or export the model again.")
        try:
            intact = sha256(path) == digest
        except OSError as error:
            raise ModelError(f"Model {model}: {name} cannot be read ({error}).") from error
        if not intact:
            raise ModelError(f"Model {model}: {name} does not match its digest; fetch or export the model again.")
    for path in sorted((directory / SAVED_MODEL).rglob("*")):
        if path.is_file() and path.relative_to(directory).as_posix() not in manifest.files:
            raise ModelError(
                f"Model {model}: {path.relative_to(directory)} is not in {MODEL_MANIFEST}; remove it or export again."
            )
    try:
        with (directory / VOCABULARY).open(encoding="utf-8") as lines:
            vocabulary = Vocabulary.from_lines(lines)
    except ValueError as error:
        raise ModelError(f"Model {model}: {error}") from error
    labels, quality = _read_labels(model, directory, manifest), _read_quality(model, directory, manifest)
    if quality and len(quality.words) != len(vocabulary):
        raise ModelError(
            f"Model {model}: {QUALITY} is for {len(quality.words):,} words, but {VOCABULARY} has {len(vocabulary):,}; "
            "export the model again."
        )
    return OpenModel(directory, manifest, vocabulary, states, labels, quality)


@atexit.register
def delete_copies() -> None:
    """Deletes this process's copies of remote models, for its end: from now on it creates no file in one.

    A process that ``terminal.signals`` stops ends without ``atexit``, and calls this itself.
    """
    _creating.acquire(timeout=_SOON)  # for good; where this is called twice, the second call does not get it
    for directory in _copies:
        shutil.rmtree(directory, ignore_errors=True)


def _read_labels(model: str | os.PathLike[str], directory: Path, manifest: Manifest) -> Labels | None:
    if LABELS not in manifest.files:
        return None
    if (directory / LABELS).stat().st_size > _MOST_LABEL_BYTES:
        raise ModelError(f"Model {model}: {LABELS} has over {_MOST_LABEL_BYTES:,} bytes, the limit for labels.")
    try:
        with (directory / LABELS).open(encoding="utf-8", newline="\n") as lines:
            return Labels.from_lines(lines)
    except ValueError as error:
        raise ModelError(f"Model {model}: {LABELS}: {error}") from error


def _read_quality(model: str | os.PathLike[str], directory: Path, manifest: Manifest) -> Quality | None:
    if QUALITY not in manifest.files:
        return None
    try:
        return Quality.read(directory / QUALITY)
    except ValueError as error:
        raise ModelError(f"Model {model}: {QUALITY}: {error}; export the model again.") from error


def write_model(
    model: str | os.PathLike[str],
    write_functions: Callable[[Path], None],
    vocabulary: Vocabulary,
    manifest: Manifest,
    labels: Labels | None = None,
    quality: Quality | None = None,
) -> Manifest:
    """Writes a model directory completely or not at all: beside it first, then renamed (remote: manifest last).

    Args:
      model: the directory to write; it must not exist yet, or be empty.
      write_functions: called with a local folder, writes *encode* and *decode_step* there.
      vocabulary: the words of its captions.
      manifest: what it says of the model; ``files`` is filled in here.
      labels: the classes of its image classifier, if it has one.
      quality: what it expects of its captions, if it does.

    Returns:
      The manifest as written.

    Raises:
      ModelError: ``model`` exists already.
    """

    def write(beside: Path) -> None:
        nonlocal manifest
        write_functions(beside)
        (beside / VOCABULARY).write_text("".join(vocabulary.to_lines()), encoding="utf-8")
        if labels:
            (beside / LABELS).write_text("".join(labels.to_lines()), encoding="utf-8")
        if quality:
            quality.write(beside / QUALITY)
        paths = sorted(path for path in beside.rglob("*") if path.is_file())
        manifest = replace(manifest, files={path.relative_to(beside).as_posix(): sha256(path) for path in paths})
        (beside / MODEL_MANIFEST).write_text(manifest.to_json(), encoding="utf-8")

    _write_folder(os.fspath(model), write)
    return manifest


def copy_model(source: OpenModel, target: str | os.PathLike[str]) -> None:
    """Writes a copy of a model, with its fingerprint, completely or not at all; raises ``ModelError``."""

    def copy(beside: Path) -> None:
        for name in source.manifest.files:
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.directory / name, beside / name)
        (beside / MODEL_MANIFEST).write_text(source.manifest.to_json(), encoding="utf-8")

    _write_folder(os.fspath(target), copy)
    source.check_unchanged()


def _write_folder(target: str, write: Callable[[Path], None]) -> None:
    """Has ``write`` fill a folder beside ``target`` and renames it; a remote place gets copies, the manifest last."""
    refuse_existing(target)
    remote = "://" in target
    if not remote:
        Path(target).absolute().parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".exporting-", dir=None if remote else Path(target).absolute().parent))
    try:
        write(beside)
        if remote:
            paths = sorted(path for path in beside.rglob("*") if path.is_file())
            for path in sorted(paths, key=lambda path: path == beside / MODEL_MANIFEST):
                write_whole(FileSystems.join(target, *path.relative_to(beside).parts), path.read_bytes())
        else:
            beside.chmod(0o755)
            if Path(target).is_dir():
                Path(target).rmdir()
            beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def refuse_existing(model: str | os.PathLike[str]) -> None:
    """Raises ``ModelError`` if a model cannot be written because its directory exists already."""
    target = os.fspath(model)
    taken = FileSystems.exists(FileSystems.join(target, MODEL_MANIFEST))
    if "://" not in target:
        taken = Path(target).exists() and (not Path(target).is_dir() or any(Path(target).iterdir()))
    if taken:
        raise ModelError(f"{target} exists already; choose another directory or remove it.")


def sha256(path: Path) -> str:
    """SHA-256 of a local file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileState(NamedTuple):
    """Identifies the state of a file; it differs after any change, including a rename."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def _state(path: Path) -> FileState | None:
    """``None`` where nothing lies there."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _copy(model: str | os.PathLike[str], source: str, target: Path) -> None:
    try:
        with FileSystems.open(source) as reader:
            with _creating:
                target.parent.mkdir(parents=True, exist_ok=True)
                writer = target.open("wb")
            with writer:
                shutil.copyfileobj(reader, writer, _CHUNK)
    except Exception as error:
        raise ModelError(f"Model {model}: {source} cannot be read ({error}).") from error
