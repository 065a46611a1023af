"""The chance that a caption with a given score is right: a logistic regression on the reviews."""

import numpy as np

from beam_job.trust.share import Answers

_POINTS = 101  # of the table


def fit_chances(answers: Answers, captions: np.ndarray) -> tuple[tuple[float, float], ...]:
    """(score, chance) at the percentiles of all scores, both in ascending order.

    If higher scores are worse according to the reviews, which may happen by accident, every caption has the same
    chance.

    Args:
      captions: float64 [captions], the scores of all captions.
    """
    from sklearn.linear_model import LogisticRegression

    scores = np.unique(np.round(np.quantile(captions, np.linspace(0, 1, _POINTS)), 4))
    share = float(np.average(answers.right, weights=answers.weights))
    chances = np.full(len(scores), share)
    if 0 < share < 1:
        middle, width = captions.mean(), max(float(captions.std()), 1e-6)
        weights = answers.weights * len(answers.weights) / answers.weights.sum()
        model = LogisticRegression().fit((answers.scores[:, None] - middle) / width, answers.right, weights)
        if model.coef_[0, 0] > 0:
            chances = model.predict_proba((scores[:, None] - middle) / width)[:, 1]
    return tuple((float(score), round(float(chance), 4)) for score, chance in zip(scores, chances, strict=True))
