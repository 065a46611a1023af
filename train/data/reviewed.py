"""Reviewed captions as training data: ``reviews:DIR``, where DIR is the ``--output`` of the job.

Each photo has one caption: a person's correction, or the model's caption if a person marked it as right.
"""

from collections.abc import Callable
from pathlib import Path

from beam_job.images.local_path import local_path
from beam_job.runs.reviews import read_reviews
from train.errors import TrainError

SCHEME = "reviews:"


class ReviewedError(TrainError):
    """A folder without reviews; the message says what to do."""


def reviewed_captions(output: str, tell: Callable[[str], None]) -> list[tuple[Path, tuple[str, ...]]]:
    """Reads the reviews in a folder of runs: photos on disks, and the right sentence of each.

    Args:
      output: the folder; on any file system that Beam reads.
      tell: called with a sentence about each photo that is left out, and about files that hold no reviews.

    Raises:
      ReviewedError: there are no reviews, or they cannot be read.
    """
    try:
        reviews = read_reviews(output)
    except Exception as error:  # file systems raise what they like
        raise ReviewedError(f"{SCHEME}{output}: the reviews can't be read: {error}") from error
    for problem in reviews.problems:
        tell(problem)
    found: list[tuple[Path, tuple[str, ...]]] = []
    for uri, sentence in reviews.sentences().items():
        path = local_path(uri)
        if "://" in path:
            tell(f"{uri}: training can read only photos on disks")
        else:
            found.append((Path(path), (sentence,)))
    if not found:
        raise ReviewedError(
            f"{SCHEME}{output}: there are no captions of photos on disks that people corrected or marked as right; "
            "review some with python -m beam_job.review."
        )
    return found
