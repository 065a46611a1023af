"""``manifest.json`` of a model, and the checks of its fields.

    manifest = read_manifest("gs://bucket/models/archive")
    manifest.fingerprint, manifest.image.height

The fields are untrusted, so the type and range of each are checked before it is used.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.images.pixels import RESIZE

FORMAT_VERSION = 2
FUNCTIONS = ("encode", "decode_step")
WEIGHTS = "weights.npz"
VOCABULARY = "vocabulary.txt"
LABELS = "labels.tsv"  # only of models with an image classifier
QUALITY = "quality.npz"  # only of models that know the quality of their captions
SAVED_MODEL = "saved_model"  # in place of graphs and weights, in version 1
_FILES = {
    1: (f"{SAVED_MODEL}/saved_model.pb", VOCABULARY),
    FORMAT_VERSION: (*(f"{function}.pb" for function in FUNCTIONS), WEIGHTS, VOCABULARY),
}
MODEL_MANIFEST = "manifest.json"

_MOST_BYTES = 16 << 20  # of a manifest; those of large models have some kilobytes
_LARGEST_SIDE = 8192  # of the model's images, in pixels
_LONGEST_CAPTION = 4096  # in tokens


class ModelError(ValueError):
    """A model directory that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class ImageSpec:
    """The images that *encode* expects: height and width in pixels, and the method of resizing."""

    height: int
    width: int
    resize: str = RESIZE


@dataclass(frozen=True)
class Manifest:
    """The contents of a model's ``manifest.json``.

    ``files`` maps each file's path inside the directory to its SHA-256. ``training`` and ``metrics`` are for people:
    they are the only fields that are not part of the fingerprint, so that metrics can be added to a finished model.
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


def read_manifest(model: str | os.PathLike[str]) -> Manifest:
    """Reads and checks ``manifest.json`` alone; ``ModelError`` where it is missing, wrong or of another version."""

    def wrong(what: str) -> ModelError:
        return ModelError(f"Model {model}: {MODEL_MANIFEST} {what}")

    try:
        with FileSystems.open(FileSystems.join(os.fspath(model), MODEL_MANIFEST)) as file:
            text = file.read(_MOST_BYTES + 1)
    except Exception as error:  # Beam's file systems raise what they like
        raise wrong(f"cannot be read ({error}). A model is a directory that `train` exported.") from error
    if len(text) > _MOST_BYTES:
        raise wrong(f"has over {_MOST_BYTES:,} bytes, the limit for a manifest.")
    try:
        fields = json.loads(text)
    except RecursionError as error:
        raise wrong("is nested too deeply; export the model again.") from error
    except ValueError as error:
        raise wrong(f"is not valid JSON ({error}); export the model again.") from error
    if not isinstance(fields, dict):
        raise wrong("is not a JSON object; export the model again.")
    version = fields.get("format_version")
    if type(version) is not int or version not in _FILES:
        raise ModelError(
            f"Model {model}: format version {_shown(version)} is unknown, this release reads versions 1 and "
            f"{FORMAT_VERSION}. Use a release that knows it, or export the model again."
        )
    claimed = fields.pop("fingerprint", None)
    try:
        manifest = Manifest(**{**fields, "image": ImageSpec(**fields["image"])})
        wrong_field = _wrong_field(manifest)
        fingerprint = "" if wrong_field else manifest.fingerprint
    except (KeyError, TypeError, AttributeError) as error:
        raise wrong(f"lacks or misnames a field ({error}).") from error
    if wrong_field:
        raise wrong(f"has {wrong_field}; export the model again.")
    if claimed != fingerprint:
        raise wrong(
            f"states the fingerprint {_shown(claimed)} but its fields give {fingerprint}: it was changed after the "
            "export. Export the model again, or fetch it again."
        )
    if manifest.image.resize != RESIZE:
        raise ModelError(
            f"Model {model}: images are resized by {_shown(manifest.image.resize)}, this release supports {RESIZE!r}."
        )
    for name in _FILES[version]:
        if name not in manifest.files:
            raise wrong(f"does not list {name}; export the model again.")
    for name in manifest.files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise wrong(f"lists {_shown(name)}, which lies outside the directory.")
    return manifest


def _wrong_field(manifest: Manifest) -> str | None:
    """The first field whose value cannot be right, in words."""

    def is_count(value: Any, most: int) -> bool:
        return type(value) is int and 1 <= value <= most

    image = manifest.image
    for name, count, most in (
        ("an image height", image.height, _LARGEST_SIDE),
        ("an image width", image.width, _LARGEST_SIDE),
        ("a max_caption_length", manifest.max_caption_length, _LONGEST_CAPTION),
    ):
        if not is_count(count, most):
            return f"{name} of {_shown(count)}, which is not a whole number from 1 to {most:,}"
    fields: tuple[tuple[str, object, type], ...] = (
        ("image resize", image.resize, str),
        ("encoder", manifest.encoder, str),
        ("licence", manifest.licence, str),
        ("files", manifest.files, dict),
        ("training", manifest.training, dict),
        ("metrics", manifest.metrics, dict),
    )
    for name, value, kind in fields:
        if not isinstance(value, kind):
            return f"a field {name!r} of {_shown(value)}, which is not {'text' if kind is str else 'an object'}"
    if not all(isinstance(digest, str) for digest in manifest.files.values()):
        return "a file whose digest is not text"
    return None


def _shown(value: Any) -> str:
    """A value of the manifest, cut to a length that fits into a message."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
