"""The sentence about what a training run exported."""

from __future__ import annotations

import pytest

from train.fitting.loop import History
from train.outcome import outcome


@pytest.mark.parametrize(
    ("fitted", "rewarded", "share", "mixture", "text"),
    [
        (History([3.0], []), None, 1.0, None, "after 1 epoch"),
        (
            History([3.0, 2.0, 1.0], [50.0, 60.0, 55.0]),
            None,
            1.0,
            None,
            "after 2 of 3 epochs, dev CIDEr 60.0",
        ),
        (History([3.0] * 5, [50.0, 55.0, 60.2, 58.0, 57.0], 57.7), None, 1.0, None, "3 of 5 epochs, dev CIDEr 60.2"),
        (History([3.0] * 5, [50.0, 55.0, 60.2, 58.0, 57.0], 57.7), None, 1.0, None, "60.2 (57.7 before)"),
        (
            History([3.0, 2.0], [50.0, 60.0]),
            History([-0.5], [66.0], 60.0),
            0.65,
            65.0,
            "and 1 of 1 self-critical epoch, dev CIDEr 66.0 (60.0 before), mixed: 65% of the weights after the second",
        ),
        (
            History([3.0, 2.0], [50.0, 60.0]),
            History([-0.5], [55.0], 60.0),
            1.0,
            None,
            "after 2 of 2 epochs, dev CIDEr 60.0 and 0 of 1 self-critical epoch, dev CIDEr 60.0",
        ),
    ],
)
def test_the_best_epoch_is_named(fitted, rewarded, share, mixture, text) -> None:
    found = outcome(fitted, rewarded, share, mixture)
    assert text in found.text
    assert not found.is_start


@pytest.mark.parametrize("rewarded", [None, History([-0.5], [55.0], 57.7)])
def test_nothing_was_better_than_the_start(rewarded) -> None:
    found = outcome(History([3.0], [57.7], 57.7), rewarded, 0.65, 57.7)
    assert found.is_start
    assert found.text == "the model that training started from: no epoch was better than its dev CIDEr 57.7"


def test_a_better_second_stage_is_not_the_start() -> None:
    assert not outcome(History([3.0], [50.0], 57.7), History([-0.5], [58.0], 57.7), 1.0, None).is_start
