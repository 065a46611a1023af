"""Describes a model directory: ``python -m beam_job.inspect MODEL``.

The name does not conflict with the standard library's ``inspect``, because imports are absolute. Only running a file of
this folder by its path would mix them up; run modules by name, ``python -m beam_job...``.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.messages.invocation import command_parser
from beam_job.model.directory import DEFAULT_MODEL, OpenModel, open_model
from beam_job.model.manifest import Manifest, ModelError, read_manifest
from beam_job.model.vocabulary import SPECIAL
from beam_job.terminal import streams
from beam_job.terminal.streams import escaped, say, show

EXIT_TORN = 1
EXIT_NO_MODEL = 2
_INDENT = 38
_WIDTH = 118
_EXAMPLES = """examples:
  python -m beam_job.inspect
  python -m beam_job.inspect gs://bucket/models/archive-2026

exit status: 0 the model is intact, 1 its files do not match its manifest, 2 there is no model
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints what a model directory is; returns 0, or 1 where it is torn, or 2 where there is no model."""
    description = "Describes a model directory and checks its files."
    parser = command_parser("beam_job.inspect", description, _EXAMPLES)
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", default=str(DEFAULT_MODEL), help="default: the bundled model"
    )
    model = parser.parse_args(argv).model
    try:
        manifest = read_manifest(model)
    except ModelError as error:
        say(f"beam_job.inspect: {escaped(str(error))}")
        return EXIT_NO_MODEL
    opened: OpenModel | None = None
    problem = ""
    try:
        opened = open_model(model)
    except ModelError as error:
        problem = str(error)
    for line in describe(model, manifest, opened).split("\n"):
        show(escaped(line))
    if problem:
        say(f"beam_job.inspect: {escaped(problem)}")
        return EXIT_TORN
    return 0


def describe(model: str, manifest: Manifest, opened: OpenModel | None) -> str:
    """The text, one fact per line; ``opened`` is ``None`` if the files do not match the manifest."""
    image = manifest.image
    facts = {
        "model": model,
        "state": "intact: all files match their digests" if opened else "NOT INTACT: see below; the job refuses it",
        "fingerprint": manifest.fingerprint,
        "format version": manifest.format_version,
        "encoder": manifest.encoder,
        "images": f"{image.width} x {image.height} pixels (width x height), resized by {image.resize}",
        "captions": f"at most {manifest.max_caption_length} tokens, including the end token",
        "files": f"{len(manifest.files)}, {_megabytes(model, manifest)}",
    }
    if opened:
        words = [token for token in opened.vocabulary.tokens if token not in SPECIAL]
        facts["vocabulary"] = f"{len(words):,} words: {', '.join(words[:12])}, …"
        if opened.labels:
            facts["labels"] = f"{len(opened.labels):,} classes: {', '.join(opened.labels.names[:6])}, …"
        facts["scores"] = (
            "the expected CIDEr, 1 for 100" if opened.quality else "the mean log-probability of the tokens"
        )
    facts.update(_flat("training", manifest.training))
    facts.update(_flat("metrics", manifest.metrics))
    facts["licence"] = manifest.licence
    return "\n".join(_line(name, str(value)) for name, value in facts.items() if str(value))


def _line(name: str, value: str) -> str:
    indent = " " * _INDENT
    head = f"{name:{_INDENT}}" if len(name) < _INDENT else f"{name}\n{indent}"
    return head + f"\n{indent}".join(textwrap.wrap(value, _WIDTH - _INDENT, break_long_words=False))


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix} {name}", value)
        else:
            yield f"{prefix} {name}".replace("_", " "), _text(value)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_text, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _megabytes(model: str, manifest: Manifest) -> str:
    total = 0
    for name in manifest.files:
        try:
            path = FileSystems.join(model, *name.split("/"))
            total += FileSystems.get_filesystem(path).size(path)
        except Exception:  # a missing file is named by the check of the digests
            return "not all of them there"
    return f"{total / 1e6:.1f} MB"


def run() -> None:
    """Runs ``main`` and ends the process with its exit status."""
    streams.run(main)


if __name__ == "__main__":
    run()
