"""Images and their captions: from a JSONL file, from a TensorFlow data set, or from reviews.

    {"image": "photos/1.jpg", "captions": ["A dog runs.", "A brown dog on grass."]}

Paths are relative to the file. ``DataSet.parse("mine.jsonl:3")`` reads the file and counts it three times in training;
``DataSet.parse("tfds:coco_captions:train+restval")`` reads two splits of COCO; ``DataSet.parse("reviews:captions")``
reads the reviews of the job's captions.
"""

import gzip
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from beam_job.messages.quoting import shown
from train.data.reviewed import SCHEME, reviewed_captions
from train.data.text import words
from train.data.tfds_images import TfdsImage, TfdsSplit
from train.errors import TrainError

Image: TypeAlias = Path | TfdsImage
Tell: TypeAlias = Callable[[str], None]


class CaptionsError(TrainError):
    """A captions file that can't be used; the message names the file, the line and the correction."""


class Example(NamedTuple):
    """An image and its captions by people, at least one."""

    image: Image
    captions: tuple[str, ...]


class DataSet(NamedTuple):
    """Examples and how often each one counts in an epoch.

    Attributes:
      name: of a file, with its folder; of a folder with reviews; of a TensorFlow data set and its split.
      examples: each with at least one caption.
      weight: how often each counts in an epoch.
      left_out: a sentence for each caption without a word and each image without a caption.
    """

    name: str
    examples: tuple[Example, ...]
    weight: int = 1
    left_out: tuple[str, ...] = ()

    @classmethod
    def parse(cls, argument: str, data_dir: str | os.PathLike[str] | None = None) -> "DataSet":
        """Reads ``FILE``, ``reviews:DIR`` or ``tfds:NAME:SPLIT``, each with ``:WEIGHT`` if wanted.

        Args:
          argument: see above.
          data_dir: where TensorFlow Datasets keeps its data.

        Raises:
          CaptionsError, ReviewedError, TfdsError: the weight, the file or the data set can't be used.
        """
        source, colon, weight = argument.rpartition(":")
        if not (colon and weight.isdigit()) or f"{source}:" == SCHEME:
            source, weight = argument, "1"
        if int(weight) < 1:
            raise CaptionsError(f"{argument}: the weight after the colon must be a whole number of at least 1.")
        left_out: list[str] = []
        if source.startswith("tfds:"):
            examples, name = _read_tfds(source, data_dir, left_out.append), source
        elif source.startswith(SCHEME):
            reviewed = reviewed_captions(source.removeprefix(SCHEME), left_out.append)
            examples, name = _with_words([Example(*found) for found in reviewed], source, left_out.append), source
        else:
            examples = read_captions(Path(source), left_out.append)
            name = "/".join(Path(source).absolute().parts[-2:])
        return cls(name, tuple(examples), int(weight), tuple(left_out))


def read_captions(file: Path, tell: Tell = lambda left_out: None) -> list[Example]:
    """Reads every line; captions without a word and images without a caption are left out.

    Args:
      file: JSONL.
      tell: called with a sentence about everything that is left out.

    Raises:
      CaptionsError: the file can't be read, a line has the wrong form, or nothing is left.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise CaptionsError(f"{file} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CaptionsError(f"{file} is not UTF-8 text: {error}.") from error
    lines = [line.removeprefix("\ufeff") for line in lines]  # the byte order marks of files that were joined, too
    examples = [_example(line, file, number) for number, line in enumerate(lines, 1) if line.strip()]
    return _with_words(examples, str(file), tell)


def _read_tfds(source: str, data_dir: str | os.PathLike[str] | None, tell: Tell) -> list[Example]:
    _, _, name_and_split = source.partition(":")
    name, _, split = name_and_split.partition(":")
    if not (name and split):
        raise CaptionsError(f"{source}: expected tfds:NAME:SPLIT, as in tfds:coco_captions:train+restval.")
    return _with_words([Example(*found) for found in TfdsSplit(name, split, data_dir).examples()], source, tell)


def read_sentences(file: str) -> list[str]:
    """Captions without photos: a text file, or one that gzip compressed, with a sentence on each line.

    Raises:
      CaptionsError: there is no such file, it is not UTF-8, or holds no sentence.
    """
    opener = gzip.open if file.endswith(".gz") else open
    try:
        with opener(file, "rt", encoding="utf-8") as lines:
            sentences = [line.strip() for line in lines if line.strip()]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise CaptionsError(f"--sentences {file}: {error}") from error
    if not sentences:
        raise CaptionsError(f"--sentences {file}: there is no sentence in it.")
    return sentences


def _with_words(examples: list[Example], source: str, tell: Tell) -> list[Example]:
    kept = []
    for image, captions in examples:
        told = tuple(caption for caption in captions if words(caption))
        for caption in captions:
            if caption not in told:
                tell(f"{image}: caption {caption!r} contains no words")
        if told:
            kept.append(Example(image, told))
        else:
            tell(f"{image}: no caption")
    if not kept:
        raise CaptionsError(f"{source} contains no image with a caption.")
    return kept


def _example(line: str, file: Path, number: int) -> Example:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, a list nested 100,000 deep
        raise CaptionsError(f"{file}, line {number}: not JSON: {error}") from error
    match record:
        case {"image": str(image), "captions": list(captions)} if image and all(isinstance(c, str) for c in captions):
            return Example(file.parent / image, tuple(captions))
        case {"uri": str(), "caption": _}:
            raise CaptionsError(
                f"{file}, line {number}: this file is output of the captioning job. To train on captions that people "
                "reviewed, give the folder: reviews:DIR."
            )
    raise CaptionsError(
        f'{file}, line {number}: expected {{"image": "path", "captions": ["text", ...]}}, got {shown(line, 80)}'
    )
