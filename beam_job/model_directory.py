"""The exported model directory, the contract between ``train`` and ``beam_job``.

A model directory holds ``saved_model/`` (a TensorFlow SavedModel with the functions *encode* and *decode_step*),
``vocabulary.txt`` and ``manifest.json``. It can lie on any file system that Beam reads. Its fingerprint names the
model on every caption record; ``open_model`` refuses a directory whose files do not match it.
"""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.pixels import RESIZE
from beam_job.vocabulary import Vocabulary

FORMAT_VERSION = 1
SAVED_MODEL = "saved_model"
VOCABULARY = "vocabulary.txt"
MANIFEST = "manifest.json"
DEFAULT_MODEL = Path(__file__).parent / "default_model"

_CHUNK = 1 << 20


class ModelError(ValueError):
    """A model directory that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class ImageSpec:
    """The images that *encode* takes: height and width in pixels, and the way they are brought to that size."""

    height: int
    width: int
    resize: str = RESIZE


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says of a model.

    ``files`` maps each file's path inside the directory to its SHA-256. ``training`` and ``metrics`` are for people:
    they are the only fields that the fingerprint leaves out, so that metrics can be added to a finished model.
    """

    image: ImageSpec
    encoder: str
    max_caption_length: int
    files: Mapping[str, str]
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    format_version: int = FORMAT_VERSION

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the files' digests and the fields that change captions."""
        contract = {
            "format_version": self.format_version,
            "image": asdict(self.image),
            "max_caption_length": self.max_caption_length,
        }
        lines = [f"{digest}  {path}" for path, digest in sorted(self.files.items())]
        lines.append(json.dumps(contract, sort_keys=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps({"fingerprint": self.fingerprint, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class OpenModel:
    """A checked model: ``directory`` is on the local disk, whatever file system it came from."""

    directory: Path
    manifest: Manifest
    vocabulary: Vocabulary

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint


def read_manifest(model: str | os.PathLike[str]) -> Manifest:
    """Reads and checks ``manifest.json`` alone; ``ModelError`` where it is missing, torn or of another version."""
    try:
        with FileSystems.open(FileSystems.join(os.fspath(model), MANIFEST)) as file:
            text = file.read()
    except Exception as error:  # Beam's file systems raise what they like
        raise ModelError(
            f"Model {model}: {MANIFEST} cannot be read ({error}). --model takes a directory that `train` exported."
        ) from error
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ModelError(f"Model {model}: {MANIFEST} is not valid JSON ({error}); export the model again.") from error
    if not isinstance(fields, dict):
        raise ModelError(f"Model {model}: {MANIFEST} is no JSON object; export the model again.")
    version = fields.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelError(
            f"Model {model}: format version {version!r} is unknown, this release reads version {FORMAT_VERSION}. "
            "Use a release that knows it, or export the model again."
        )
    claimed = fields.pop("fingerprint", None)
    try:
        manifest = Manifest(**{**fields, "image": ImageSpec(**fields["image"])})
        fingerprint = manifest.fingerprint
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"Model {model}: {MANIFEST} lacks or misnames a field ({error}).") from error
    if claimed != fingerprint:
        raise ModelError(
            f"Model {model}: {MANIFEST} states the fingerprint {claimed} but its fields give {fingerprint}: it was "
            "changed after the export. Export the model again, or fetch it again."
        )
    if manifest.image.resize != RESIZE:
        raise ModelError(
            f"Model {model}: images are brought to size by {manifest.image.resize!r}, this release knows {RESIZE!r}."
        )
    for name in (f"{SAVED_MODEL}/saved_model.pb", VOCABULARY):
        if name not in manifest.files:
            raise ModelError(f"Model {model}: {MANIFEST} does not list {name}; export the model again.")
    for name in manifest.files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ModelError(f"Model {model}: {MANIFEST} lists {name!r}, which lies outside the directory.")
    return manifest


def open_model(model: str | os.PathLike[str] = DEFAULT_MODEL, *, fingerprint: str | None = None) -> OpenModel:
    """Checks every file of a model directory against its manifest; a remote one is copied to the local disk first.

    Args:
      model: the directory, on any file system that Beam reads.
      fingerprint: the fingerprint that the model must have, if the caller knows it already.

    Raises:
      ModelError: the directory is missing, torn, of another format version, or not the model that was asked for.
    """
    manifest = read_manifest(model)
    if fingerprint not in (None, manifest.fingerprint):
        raise ModelError(
            f"Model {model}: its fingerprint is {manifest.fingerprint}, but the job was started with {fingerprint}: "
            "the directory was replaced meanwhile. Start the job again."
        )
    directory = Path(model)
    if "://" in os.fspath(model):
        directory = Path(tempfile.mkdtemp(prefix="caption-model-"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        for name in manifest.files:
            _copy(model, FileSystems.join(os.fspath(model), *name.split("/")), directory / name)
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
                f"Model {model}: {path.relative_to(directory)} is not in {MANIFEST}; remove it or export again."
            )
    try:
        vocabulary = Vocabulary.from_lines((directory / VOCABULARY).open(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"Model {model}: {error}") from error
    return OpenModel(directory, manifest, vocabulary)


def write_model(
    model: str | os.PathLike[str],
    write_saved_model: Callable[[str], None],
    vocabulary: Vocabulary,
    *,
    image_height: int,
    image_width: int,
    encoder: str,
    max_caption_length: int,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    licence: str,
) -> Manifest:
    """Writes a model directory whole or not at all: beside its place first, then renamed (remote: the manifest last).

    Args:
      model: the directory to write; it must not exist yet, or be empty.
      write_saved_model: called with a local path, writes the SavedModel there.
      max_caption_length: tokens, ``<end>`` included.

    Raises:
      ModelError: there is something at ``model`` already.
    """
    target = os.fspath(model)
    refuse_existing(target)
    remote = "://" in target
    if not remote:
        Path(target).absolute().parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".exporting-", dir=None if remote else Path(target).absolute().parent))
    try:
        write_saved_model(str(beside / SAVED_MODEL))
        # TensorFlow leaves empty folders and a random identifier, which would give equal models unequal fingerprints.
        (beside / SAVED_MODEL / "fingerprint.pb").unlink(missing_ok=True)
        (beside / VOCABULARY).write_text("".join(vocabulary.to_lines()), encoding="utf-8")
        paths = sorted(path for path in beside.rglob("*") if path.is_file())
        manifest = Manifest(
            image=ImageSpec(image_height, image_width),
            encoder=encoder,
            max_caption_length=max_caption_length,
            files={path.relative_to(beside).as_posix(): sha256(path) for path in paths},
            training=training,
            metrics=metrics,
            licence=licence,
        )
        (beside / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        if remote:
            for path in [*paths, beside / MANIFEST]:
                name = FileSystems.join(target, *path.relative_to(beside).parts)
                with FileSystems.create(name) as file:
                    file.write(path.read_bytes())
        else:
            beside.chmod(0o755)
            if Path(target).is_dir():
                Path(target).rmdir()
            beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return manifest


def refuse_existing(model: str | os.PathLike[str]) -> None:
    """Raises ``ModelError`` where a model cannot be written because something is there already."""
    target = os.fspath(model)
    taken = FileSystems.exists(FileSystems.join(target, MANIFEST))
    if "://" not in target:
        taken = Path(target).exists() and (not Path(target).is_dir() or any(Path(target).iterdir()))
    if taken:
        raise ModelError(f"{target} exists already; choose another directory or remove it.")


def sha256(path: Path) -> str:
    """SHA-256 of a local file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(model: str | os.PathLike[str], source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileSystems.open(source) as reader, target.open("wb") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK)
    except Exception as error:
        raise ModelError(f"Model {model}: {source} cannot be read ({error}).") from error
