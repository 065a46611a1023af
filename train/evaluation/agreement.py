"""How well scores put captions in the order of their quality.

rank_correlation([0.9, 0.2, 0.4], [120.0, 15.0, 60.0])  # 1.0: the same order
"""

from collections.abc import Sequence

import numpy as np


def rank_correlation(scores: Sequence[float] | np.ndarray, qualities: Sequence[float] | np.ndarray) -> float:
    """Spearman's: 1 where both have the same order, -1 where it is reversed; 0 where one of them has no order."""
    first, second = _ranks(scores), _ranks(qualities)
    if not (first.std() and second.std()):
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]
