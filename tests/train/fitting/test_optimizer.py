"""The learning rate's schedule."""

from dataclasses import replace

import pytest

from train.fitting.optimizer import learning_rate
from train.recipe import DEFAULT


def rates(steps: int, warmup_steps: int) -> list[float]:
    """The rate at each step and after the last, for a highest rate of 1."""
    rate = learning_rate(replace(DEFAULT, schedule="cosine", warmup_steps=warmup_steps), 1.0, steps)
    return [float(rate(step)) for step in range(steps + 1)]


def test_the_rate_rises_for_the_warm_up_and_falls_to_zero_at_the_last_step() -> None:
    found = rates(40, 4)
    assert found[:5] == [0, 0.25, 0.5, 0.75, 1]
    assert found[4:] == sorted(found[4:], reverse=True)
    assert found[22] == pytest.approx(0.5)  # halfway between the warm-up and the end
    assert found[40] == pytest.approx(0, abs=1e-6)


def test_the_warm_up_takes_at_most_a_tenth_of_the_steps() -> None:
    assert rates(20, 1000).index(1) == 2
    assert rates(5, 1000).index(1) == 1


def test_a_constant_rate_is_the_highest_one() -> None:
    assert learning_rate(replace(DEFAULT, schedule="constant"), 0.25, 40) == 0.25
