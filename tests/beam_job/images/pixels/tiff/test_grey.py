"""Grey samples of more than 8 bits: which range they are taken to have, and in how much memory."""

from __future__ import annotations

import numpy as np
import pytest

from beam_job.images.pixels.tiff.grey import to_8_bits
from tests.memory import traced


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.2, 1.0], np.float32), [51, 255]),
        (np.array([51, 255], np.float32), [51, 255]),
        (np.array([51, 255], np.int32), [51, 255]),
        (np.array([257, 65_535], np.float32), [1, 255]),
        (np.array([257, 65_535], np.int32), [1, 255]),
        (np.array([257, 65_536], np.float32), [0, 255]),  # from here on from the least to the greatest
        (np.array([257, 65_536], np.int32), [0, 255]),
        (np.array([-1, 0, 1], np.float32), [0, 128, 255]),
        (np.array([0, 1], np.int32), [0, 1]),  # integers are no fractions
    ],
)
def test_the_first_range_that_contains_every_value(values: np.ndarray, expected: list[int]) -> None:
    assert to_8_bits(values).tolist() == expected


def test_the_greatest_value_is_white_even_where_single_precision_rounds_it_up() -> None:
    assert to_8_bits(np.array([10**9, 10**9 + 64], np.int32)).tolist() == [0, 255]


@pytest.mark.parametrize(("kind", "most"), [(np.uint16, 7), (np.int32, 7), (np.float32, 7), (np.float64, 11)])
def test_samples_are_scaled_in_one_copy(kind: type, most: int) -> None:
    """Of single precision, where the samples have no more; the mask of those that are finite is the rest."""
    values = np.arange(1_000_000, dtype=np.float64).astype(kind)
    with traced() as peak:
        to_8_bits(values)
        assert peak() < most * values.size
