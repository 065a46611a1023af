"""The share of right captions among those with at least a score, from reviews of a part of them.

A review stands for as many captions as one over its chance of being drawn. The weights are then made to add up, in each
fifth of the scores, to the number of captions there is: so photos that were added for their low score, or skipped, do
not move the estimate.
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
    """Nothing can be said of all captions; the message says how many more reviews it takes."""


@dataclass(frozen=True)
class Answers:
    """Reviews as numbers, an array of [reviews] each.

    Attributes:
      scores: float64, of the captions that were reviewed.
      right: bool, whether they were right.
      weights: float64, how many captions each stands for.
    """

    scores: np.ndarray
    right: np.ndarray
    weights: np.ndarray


def weigh(scores: np.ndarray, right: np.ndarray, probabilities: np.ndarray, captions: np.ndarray) -> Answers:
    """Weighs reviews so that together they stand for all captions.

    Args:
      scores: float64 [reviews].
      right: bool [reviews].
      probabilities: float64 [reviews], chance of having been drawn.
      captions: float64 [captions], the scores of all captions, in any order.

    Raises:
      TooFewReviewsError: there are too few, or none in a part of the scores.
    """
    if len(scores) < LEAST_REVIEWS:
        more = quantity(LEAST_REVIEWS - len(scores), "more review")
        raise TooFewReviewsError(
            f"There are {quantity(len(scores), 'review')} of photos that were drawn; it takes {more} to say how many "
            "captions are right."
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
                f"{quantity(int(inside.sum()), 'review')}: review some that --sample draws over all scores."
            )
        if count:
            weights[inside] *= count / weights[inside].sum()
    return Answers(scores, right, weights)


def table(answers: Answers, captions: np.ndarray) -> list[Threshold]:
    """The thresholds above which all captions lie, nine tenths of them, and so on to one tenth."""
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
