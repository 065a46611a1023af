"""Selects photos to review: a random sample with known probabilities, the lowest scores, or those of a list."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from beam_job.runs.digest import digest64

STRATA = 10
"""Strata of the score, each with as many captions."""

Captions = Callable[[], Iterable[dict[str, Any]]]
"""Gives the captions from the start, one record an image, each time that it is called."""


class Drawn(NamedTuple):
    """A caption to review.

    Attributes:
      record: as it was written.
      probability: the probability that it was sampled; ``None`` if it was chosen by name.
    """

    record: dict[str, Any]
    probability: float | None


class Index:
    """Scores and digests of all captions, in memory, 12 bytes each.

    The sample depends on the seed and the URIs, not on the order in which captions are read.
    """

    def __init__(self, captions: Iterable[Mapping[str, Any]], seed: int) -> None:
        keys, scores = array("Q"), array("f")
        for record in captions:
            keys.append(_key(record["uri"], seed))
            scores.append(record["score"])
        self.keys = np.frombuffer(keys, np.uint64) if keys else np.zeros(0, np.uint64)
        self._by_score = np.lexsort((self.keys, np.array(scores, np.float32)))

    def stratified(self, size: int) -> dict[int, float]:
        """Samples the same number from each stratum of the score; returns keys with their sampling probabilities."""
        total = len(self.keys)
        size = min(size, total)
        strata = min(STRATA, size)
        found: dict[int, float] = {}
        for stratum in range(strata):
            # Cut in proportion to what is drawn, so that no stratum has fewer captions than are drawn from it.
            first, behind = size * stratum // strata, size * (stratum + 1) // strata
            rows = self._by_score[total * first // size : total * behind // size]
            chosen = np.sort(self.keys[rows])[: behind - first]
            found |= dict.fromkeys(map(int, chosen), len(chosen) / len(rows))
        return found

    def least(self, size: int) -> dict[int, float]:
        """The captions with the lowest scores: keys, with the probability 1."""
        return dict.fromkeys(map(int, self.keys[self._by_score[:size]]), 1.0)


def draw_stratified(captions: Captions, size: int, seed: int) -> list[Drawn]:
    """Samples from all captions, stratified by score, so that the share of right captions can be estimated for all.

    Reads the captions twice. Memory: 12 bytes per caption, more while they are sorted, and the sampled records.
    """
    return _picked(captions(), Index(captions(), seed).stratified(size), seed)


def draw_least_certain(captions: Captions, size: int, seed: int) -> list[Drawn]:
    """Takes the captions with the lowest scores."""
    return _picked(captions(), Index(captions(), seed).least(size), seed)


def take(captions: Captions, uris: Sequence[str]) -> tuple[list[Drawn], list[str]]:
    """Returns the captions of these images, in this order, and the URIs that have none."""
    wanted = dict.fromkeys(uris)
    found = {record["uri"]: Drawn(record, None) for record in captions() if record["uri"] in wanted}
    return [found[uri] for uri in wanted if uri in found], [uri for uri in wanted if uri not in found]


def _picked(captions: Iterable[dict[str, Any]], chances: Mapping[int, float], seed: int) -> list[Drawn]:
    """The drawn records, in the order of their digests: the first of them are a random choice, too."""
    keyed = ((_key(record["uri"], seed), record) for record in captions)
    found = {key: Drawn(record, chances[key]) for key, record in keyed if key in chances}
    return [found[key] for key in sorted(found)]


def _key(uri: str, seed: int) -> int:
    return digest64(f"{seed} {uri}")
