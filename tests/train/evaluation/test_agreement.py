"""Rank correlations."""

import pytest

from train.evaluation.agreement import rank_correlation


@pytest.mark.parametrize(
    ("scores", "qualities", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 4000], 1.0),
        ([1, 2, 3, 4], [3, 2, 1, 0], -1.0),
        ([1, 2, 3, 4], [2, 1, 4, 3], 0.6),  # 1 - 6 * 4 / (4 * 15)
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9486833),  # ranks 0, 1.5, 1.5, 3
        ([5, 5, 5], [1, 2, 3], 0.0),
        ([0.5], [1.0], 0.0),
    ],
)
def test_the_order_counts_and_equal_values_share_their_rank(
    scores: list[float], qualities: list[float], expected: float
) -> None:
    assert rank_correlation(scores, qualities) == pytest.approx(expected)
    assert rank_correlation(qualities, scores) == pytest.approx(expected)
