"""One's own data: a JSONL file with an image and its captions on each line.

    {"image": "photos/1.jpg", "captions": ["A dog runs.", "A brown dog on grass."]}

Paths are relative to the file. ``DataSet.parse("mine.jsonl:3")`` reads the file and counts it three times in training.
"""

import json
from pathlib import Path
from typing import NamedTuple

from train.text import words


class CaptionsError(ValueError):
    """A captions file that can't be used; the message names the file, the line and what to mend."""


class Example(NamedTuple):
    """An image's file and what people said about it, at least one caption."""

    image: Path
    captions: tuple[str, ...]


class DataSet(NamedTuple):
    """Examples and how often each one counts in an epoch; named by its file and the folder that holds it."""

    name: str
    examples: tuple[Example, ...]
    weight: int = 1

    @classmethod
    def parse(cls, argument: str) -> "DataSet":
        """Reads ``FILE`` or ``FILE:WEIGHT`` as given on the command line."""
        file, colon, weight = argument.rpartition(":")
        if not (colon and weight.isdigit()):
            file, weight = argument, "1"
        if int(weight) < 1:
            raise CaptionsError(f"{argument}: the weight after the colon is a whole number from 1.")
        name = "/".join(Path(file).absolute().parts[-2:])
        return cls(name, tuple(read_captions(Path(file))), int(weight))


def read_captions(file: Path) -> list[Example]:
    """Reads every line; captions without a word are left out, images without a caption too.

    Raises:
      CaptionsError: the file can't be read, a line is not what it must be, or nothing is left.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CaptionsError(f"{file} can't be read as UTF-8 text: {error}") from error
    examples = [_example(line, file, number) for number, line in enumerate(lines, 1) if line.strip()]
    examples = [example for example in examples if example.captions]
    if not examples:
        raise CaptionsError(f"{file} holds no image with a caption.")
    return examples


def _example(line: str, file: Path, number: int) -> Example:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise CaptionsError(f"{file}, line {number}: not JSON: {error}") from error
    match record:
        case {"image": str(image), "captions": list(captions)} if image and all(isinstance(c, str) for c in captions):
            return Example(file.parent / image, tuple(caption for caption in captions if words(caption)))
    raise CaptionsError(
        f'{file}, line {number}: expected {{"image": "path", "captions": ["text", ...]}}, got {line[:80]}'
    )
