"""``trust.json``: the chance that a caption with a given score is right, and the table of thresholds."""

import json
import logging
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import UnreadableError, is_number, is_text, read_document
from beam_job.files.whole import write_whole
from beam_job.images.local_path import local_path

TRUST = "trust.json"
FORMAT = 1
_MOST = 10_000  # rows of either table


@dataclass(frozen=True)
class Threshold:
    """The captions with at least a given score.

    Attributes:
      score: the score.
      captions: number of these captions.
      reviews: number of them that were reviewed.
      right: the estimated share of right ones, 0 to 1, with its 95 % interval, ``low`` to ``high``; ``None`` if none
        was reviewed.
    """

    score: float
    captions: int
    reviews: int
    right: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Trust:
    """The estimate for all captions of one model.

    Attributes:
      model, decoding: fingerprint of the model, and ``decoding_digest`` of the decoding options.
      reviews: number of reviews used.
      time: of the newest review, ISO 8601 in UTC.
      captions: number of captions in the folder with this model and these options.
      chances: (score, chance of being right, 0 to 1), both in ascending order; interpolate linearly between them.
      thresholds: the table, from all captions to those with the highest scores.
    """

    model: str
    decoding: str
    reviews: int
    time: str
    captions: int
    chances: tuple[tuple[float, float], ...]
    thresholds: tuple[Threshold, ...]

    def chance(self, score: float) -> float:
        """The chance that a caption with this score is right, 0 to 1."""
        place = bisect_left(self.chances, (score,))
        if place == 0 or place == len(self.chances):
            return self.chances[min(place, len(self.chances) - 1)][1]
        (low, first), (high, second) = self.chances[place - 1 : place + 1]
        return first + (second - first) * (score - low) / (high - low)

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)


def write_trust(output: str, trust: Trust) -> str:
    """Writes ``trust.json`` into a folder of runs and returns its path; raises ``WriteError``."""
    path = FileSystems.join(local_path(output), TRUST)
    write_whole(path, trust.to_json().encode())
    return path


def read_trust(output: str) -> Trust | None:
    """The contents of ``trust.json`` in a folder of runs; ``None`` if there is none that can be read."""
    path = FileSystems.join(local_path(output), TRUST)
    try:
        found = read_document(path)
        return None if found is None else _parsed(found)
    except UnreadableError as error:
        logging.warning("Passed over: %r %s.", path, error)
        return None


def _parsed(found: Mapping[str, Any]) -> Trust:
    if found.get("format") != FORMAT:
        raise UnreadableError(f"is not of format {FORMAT}: run beam_job.trust again")
    texts = [found.get(name) for name in ("model", "decoding", "time")]
    counts = [found.get(name) for name in ("reviews", "captions")]
    chances: Any = found.get("chances")
    thresholds: Any = found.get("thresholds")
    if not all(map(is_text, texts)) or not all(isinstance(count, int) and is_number(count) for count in counts):
        raise UnreadableError("is not as beam_job.trust writes it")
    if not _is_rising(chances):
        raise UnreadableError("has no chances as beam_job.trust writes them")
    if not isinstance(thresholds, list) or not 0 < len(thresholds) <= _MOST:
        raise UnreadableError("has no thresholds as beam_job.trust writes them")
    try:
        rows = tuple(_threshold(Threshold(**row)) for row in thresholds)
        pairs = tuple((float(score), float(chance)) for score, chance in chances)
        return replace(
            Trust("", "", 0, "", 0, pairs, rows),
            **{name: found[name] for name in ("model", "decoding", "time", "reviews", "captions")},
        )
    except TypeError as error:
        raise UnreadableError("has no thresholds as beam_job.trust writes them") from error


def _is_rising(chances: Any) -> bool:
    """Whether it is a table of scores and chances, both rising."""
    return (
        isinstance(chances, list)
        and 0 < len(chances) <= _MOST
        and all(isinstance(row, list) and len(row) == 2 and all(map(is_number, row)) for row in chances)
        and all(0 <= chance <= 1 for _, chance in chances)
        and all(first[0] < second[0] and first[1] <= second[1] for first, second in pairwise(chances))
    )


def _threshold(row: Threshold) -> Threshold:
    right = 0 if row.right is None else row.right
    if not all(map(is_number, (row.score, row.captions, row.reviews, right, row.low, row.high))):
        raise TypeError
    return row
