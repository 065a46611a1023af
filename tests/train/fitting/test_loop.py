"""The loop: it stops early, ends with the best weights, and goes on where it was."""

from pathlib import Path

import keras
import numpy as np
import pytest

from train.errors import StoppedError
from train.fitting.checkpoint import Checkpoint
from train.fitting.loop import History, Measured, loop
from train.models.decoder import Decoder


class GrowingWeight:
    """A weight that grows by one a step, and a measurement that is best after the second epoch."""

    CIDER = (10.0, 30.0, 20.0, 30.0, 5.0, 90.0)

    def __init__(self) -> None:
        number = keras.Input((1,))
        network = keras.Model(number, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(number))
        self.decoder = Decoder(network, keras.Model(number, number))
        self.optimizer = keras.optimizers.SGD()
        self.optimizer.build(network.trainable_variables)
        self.weight = network.weights[0]
        self.steps: list[int] = []

    def step(self, number: int) -> float:
        self.steps.append(number)
        self.weight.assign_add([[1.0]])
        return float(number)

    def validate(self) -> float:
        return self.CIDER[int(self.weight.numpy()[0, 0]) // 2 - 1]

    def run(
        self,
        checkpoint: Checkpoint | None = None,
        *,
        validated: bool = True,
        pretrained: bool = False,
        before: Measured | None = None,
    ) -> History:
        return loop(
            self.step,
            self.decoder,
            self.optimizer,
            epochs=6,
            steps_per_epoch=2,
            patience=3,
            pretrained=pretrained,
            before=before,
            validate=self.validate if validated else None,
            checkpoint=checkpoint,
        )


def test_stops_where_cider_no_longer_rises_and_takes_the_best() -> None:
    growing = GrowingWeight()
    assert growing.run() == History([0.5, 2.5, 4.5, 6.5, 8.5], [10.0, 30.0, 20.0, 30.0, 5.0])
    assert growing.weight.numpy() == 4.0


def test_without_dev_every_epoch_is_trained() -> None:
    growing = GrowingWeight()
    assert len(growing.run(validated=False).losses) == 6
    assert growing.weight.numpy() == 12.0


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_it_begins_with_may_stay_the_best(interrupted: bool, tmp_path: Path) -> None:
    growing, checkpoint = GrowingWeight(), Checkpoint(tmp_path / "one.npz", every_seconds=0)
    growing.CIDER = (10.0, 20.0, 20.0, 10.0, 5.0, 50.0)  # the last one is what it begins with, at a weight of zero
    if interrupted:
        step, growing.step = growing.step, lambda number: step(number) if number < 3 else pytest.fail("enough")  # type: ignore[method-assign]
        with pytest.raises(pytest.fail.Exception):
            growing.run(checkpoint, pretrained=True)
        growing = GrowingWeight()
        growing.CIDER = (10.0, 20.0, 20.0, 10.0, 5.0, 0.0)
    assert growing.run(checkpoint, pretrained=True) == History([0.5, 2.5, 4.5], [10.0, 20.0, 20.0], 50.0)
    assert growing.weight.numpy() == 0.0


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_it_had_before_it_learned_something_else_may_stay_the_best(interrupted: bool, tmp_path: Path) -> None:
    growing, checkpoint = GrowingWeight(), Checkpoint(tmp_path / "one.npz", every_seconds=0)
    before: Measured | None = Measured(35.0, [np.array([[-7.0]], np.float32)])
    if interrupted:
        step, growing.step = growing.step, lambda number: step(number) if number < 3 else pytest.fail("enough")  # type: ignore[method-assign]
        with pytest.raises(pytest.fail.Exception):
            growing.run(checkpoint, pretrained=True, before=before)
        growing, before = GrowingWeight(), None
    assert growing.run(checkpoint, pretrained=True, before=before) == History([0.5, 2.5, 4.5], [10.0, 30.0, 20.0], 35.0)
    assert growing.weight.numpy() == -7.0


@pytest.mark.parametrize("broken_off", [1, 3, 7, 9])
def test_goes_on_where_it_was(broken_off: int, tmp_path: Path) -> None:
    first, second, third = GrowingWeight(), GrowingWeight(), GrowingWeight()

    def interrupted(number: int, step=first.step) -> float:
        if number == broken_off:
            raise KeyboardInterrupt
        return step(number)

    first.step = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        first.run(Checkpoint(tmp_path / "one.npz", every_seconds=0))
    history = second.run(Checkpoint(tmp_path / "one.npz", every_seconds=0))
    assert second.steps == list(range(broken_off, 10))
    assert history == GrowingWeight().run()
    assert second.weight.numpy() == 4.0
    assert third.run(Checkpoint(tmp_path / "one.npz", every_seconds=0)) == history  # it was over
    assert not third.steps
    assert third.weight.numpy() == 4.0


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_at_once(loss: float, tmp_path: Path) -> None:
    growing, checkpoint = GrowingWeight(), Checkpoint(tmp_path / "one.npz", every_seconds=0)
    step = growing.step
    growing.step = lambda number: loss if number == 4 else step(number)  # type: ignore[method-assign]
    with pytest.raises(StoppedError, match=rf"step 5: the loss is {loss}.*learning_rate"):
        growing.run(checkpoint)
    assert growing.steps == [0, 1, 2, 3]
    snapshot = checkpoint.restore()
    assert snapshot is not None
    assert len(snapshot.progress["losses"]) == 4


def test_weights_that_the_last_step_spoiled_are_not_exported() -> None:
    growing = GrowingWeight()
    step = growing.step

    def last(number: int) -> float:
        loss = step(number)
        if number == 11:
            growing.weight.assign([[float("nan")]])
        return loss

    growing.step = last  # type: ignore[method-assign]
    with pytest.raises(StoppedError, match="step 12: a weight is not a number"):
        growing.run(validated=False)


@pytest.mark.parametrize(
    ("history", "best"),
    [
        (History([1.0], []), None),
        (History([1.0, 1.0], [3.0, 4.0]), 2),
        (History([1.0, 1.0], [4.0, 4.0]), 1),
        (History([1.0, 1.0], [3.0, 4.0], 4.0), 0),
        (History([1.0, 1.0], [3.0, 5.0], 4.0), 2),
    ],
)
def test_the_best_epoch(history: History, best: int | None) -> None:
    assert history.best_epoch == best
