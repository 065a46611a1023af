"""The share of right captions among those with at least a given score, estimated from reviews of some of them.

Each review is weighted by the inverse of its sampling probability. The weights are then scaled so that in each fifth of
the scores they add up to the number of captions, so photos that were added because of their low score, or skipped, do
not bias the estimate.
"""

from dataclasses import dataclass

import numpy as np

from beam_job.messages.quantity import quantity
from beam_job.trust.trust_file import Threshold

LEAST_REVIEWS = 50
LEVEL = 0.95
"""Of the intervals."""

_STRATA = 5
_LEAST_IN_STRATUM = 3
_ROWS = 10  # of the table: all captions, the upper nine tenths, the upper eight


class TooFewReviewsError(ValueError):
    """There are too few reviews for an estimate; the message says how many more are needed."""


@dataclass(frozen=True)
class Answers:
    """Reviews as arrays of [reviews].

    Attributes:
      scores: float64, of the reviewed captions.
      right: bool, whether they are right.
      weights: float64, the number of captions that each stands for.
    """

    scores: np.ndarray
    right: np.ndarray
    weights: np.ndarray


def weigh(scores: np.ndarray, right: np.ndarray, probabilities: np.ndarray, captions: np.ndarray) -> Answers:
    """Weights reviews so that together they stand for all captions.

    Args:
      scores: float64 [reviews].
      right: bool [reviews].
      probabilities: float64 [reviews], sampling probabilities.
      captions: float64 [captions], the scores of all captions, in any order.

    Raises:
      TooFewReviewsError: there are too few, or too few in a part of the scores.
    """
    if len(scores) < LEAST_REVIEWS:
        more = quantity(LEAST_REVIEWS - len(scores), "more review")
        raise TooFewReviewsError(
            f"There are {quantity(len(scores), 'review')} of sampled photos; an estimate needs {more}."
        )
    edges = np.unique(np.quantile(captions, np.arange(1, _STRATA) / _STRATA))
    place, everywhere = np.searchsorted(edges, scores, "right"), np.searchsorted(edges, captions, "right")
    weights = 1 / probabilities
    for stratum in range(len(edges) + 1):
        inside, count = place == stratum, int((everywhere == stratum).sum())
        if count and inside.sum() < _LEAST_IN_STRATUM:
            low, high = captions[everywhere == stratum].min(), captions[everywhere == stratum].max()
            raise TooFewReviewsError(
                f"Among the {quantity(count, 'caption')} with scores from {low:.2f} to {high:.2f} there are "
                f"{quantity(int(inside.sum()), 'review')}: review photos of a --sample, which has all scores."
            )
        if count:
            weights[inside] *= count / weights[inside].sum()
    return Answers(scores, right, weights)


def table(answers: Answers, captions: np.ndarray) -> list[Threshold]:
    """The thresholds above which all captions lie, nine tenths of them, and so on down to one tenth."""
    scores = np.unique(np.quantile(captions, np.arange(_ROWS) / _ROWS, method="higher"))
    return [above(answers, captions, float(score)) for score in scores]


def above(answers: Answers, captions: np.ndarray, score: float) -> Threshold:
    """The estimate for the captions with at least this score."""
    inside = answers.scores >= score
    right, low, high = _share(answers.right[inside], answers.weights[inside])
    return Threshold(score, int((captions >= score).sum()), int(inside.sum()), right, low, high)


def _share(right: np.ndarray, weights: np.ndarray) -> tuple[float | None, float, float]:
    """The weighted share of right ones with its interval.

    The interval is that of Clopper and Pearson (1934), which never covers less than it says, for the effective number
    of reviews (Korn and Graubard 1998): what unequal weights leave of it (Kish 1965), or fewer by the variance.
    """
    from scipy.stats import beta

    if not len(right):
        return None, 0.0, 1.0
    shares = weights / weights.sum()
    share = 1.0 if right.all() else float((shares * right).sum())
    number = 1 / float((shares**2).sum())
    variance = float((shares**2 * (right - share) ** 2).sum()) * len(right) / max(len(right) - 1, 1)
    if variance > 0:
        number = min(number, share * (1 - share) / variance)
    hits, tail = share * number, (1 - LEVEL) / 2
    low = float(beta.ppf(tail, hits, number - hits + 1)) if share > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, number - hits)) if share < 1 else 1.0
    return share, low, high
