"""The training loop: validated after each epoch, stopped early, resumed after an interruption.

history = loop(step, decoder, optimizer, epochs=6, steps_per_epoch=633, patience=3, validate=validate.cider)
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import numpy as np

from train.errors import StoppedError
from train.fitting.checkpoint import Checkpoint
from train.models.decoder import Decoder

# Called with the number of steps done and the measurements: "loss" after each step, "dev_cider" after each epoch.
Report = Callable[[int, Mapping[str, float]], None]


class Measured(NamedTuple):
    """A decoder's weights, and their CIDEr on the dev set."""

    dev_cider: float
    weights: list[np.ndarray]


class History(NamedTuple):
    """The curves by epoch: the mean loss, and CIDEr on the dev set (times 100) if there is one.

    ``dev_cider_before`` is that of the weights before, if the decoder could caption already.
    """

    losses: list[float]
    dev_cider: list[float]
    dev_cider_before: float | None = None

    @property
    def best_epoch(self) -> int | None:
        """The epoch, from 1, whose weights were kept: the first with the highest CIDEr. 0 for the weights before,
        ``None`` without validation."""
        before = [] if self.dev_cider_before is None else [self.dev_cider_before]
        measured = [*before, *self.dev_cider]
        return int(np.argmax(measured)) + 1 - len(before) if measured else None


def loop(
    step: Callable[[int], float],
    decoder: Decoder,
    optimizer: keras.optimizers.Optimizer,
    *,
    epochs: int,
    steps_per_epoch: int,
    patience: int,
    pretrained: bool = False,
    before: Measured | None = None,
    validate: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda step, measured: None,
) -> History:
    """Takes the remaining steps.

    Args:
      step: takes the step of a number, from 0, and returns its loss. It must depend only on that number and on the
        variables of the decoder and the optimizer, so that a resumed run equals one without interruption.
      decoder, optimizer: built; a checkpoint holds their variables.
      epochs: maximum number of epochs.
      patience: training ends after this number of epochs without a better dev CIDEr; unused without ``validate``.
      pretrained: whether the decoder can caption already: its initial weights are then validated too.
      before: what stands in for those weights, if the decoder could caption better before it learned something else.
      validate: returns the decoder's CIDEr on the dev set. The decoder ends with the weights that scored best.
      checkpoint: where to resume from, and where to save.
      report: see ``Report``.

    Raises:
      StoppedError: the loss or a weight is not a finite number.
    """
    variables = [*decoder.variables, *optimizer.variables]
    losses: list[float] = []
    ciders: list[float] = []
    best: list[np.ndarray] = []
    if checkpoint and (snapshot := checkpoint.restore()):
        losses, ciders = snapshot.progress["losses"], snapshot.progress["dev_cider"]
        best = snapshot.arrays.get("best", [])
        for variable, value in zip(variables, snapshot.arrays["variables"], strict=True):
            variable.assign(value)

    def over() -> bool:
        waited = len(ciders) - 1 - int(np.argmax(ciders)) if ciders else 0
        return len(losses) >= epochs * steps_per_epoch or (len(losses) % steps_per_epoch == 0 and waited >= patience)

    if validate and pretrained and not ciders:
        if not before:
            before = Measured(validate(), values(decoder.variables))
            report(0, {"dev_cider": before.dev_cider})
        ciders, best = [before.dev_cider], before.weights
    while not over():
        losses.append(step(len(losses)))
        if not math.isfinite(losses[-1]):
            raise _diverged(len(losses), f"the loss is {losses[-1]}")
        report(len(losses), {"loss": losses[-1]})
        if validate and len(losses) % steps_per_epoch == 0:
            ciders.append(validate())
            report(len(losses), {"dev_cider": ciders[-1]})
            if ciders[-1] > max(ciders[:-1], default=-1.0):
                best = values(decoder.variables)
        if checkpoint and (checkpoint.due or over()):
            checkpoint.save({"losses": losses, "dev_cider": ciders}, {"variables": values(variables), "best": best})
    if not all(np.isfinite(value).all() for value in values(decoder.variables)):  # an effect of the last step
        raise _diverged(len(losses), "a weight is not a number")
    for variable, value in zip(decoder.variables, best, strict=False):  # empty without validation
        variable.assign(value)
    by_epoch = np.array(losses).reshape(-1, steps_per_epoch)
    mean = [float(loss) for loss in by_epoch.mean(axis=1)]
    return History(mean, ciders[1:], ciders[0]) if validate and pretrained else History(mean, ciders)


def _diverged(step: int, what: str) -> StoppedError:
    return StoppedError(
        f"Training stopped at step {step:,}: {what}. Nothing was exported. Lower the learning rate with --set "
        "(learning_rate, self_critical_learning_rate), or set clip_norm=1.0 or mixed_precision=false."
    )


def values(variables: list[keras.Variable]) -> list[np.ndarray]:
    """Copies of the variables' values; later steps do not change them."""
    return [np.array(variable.numpy()) for variable in variables]
