"""Steps, one after the other: measured on dev photos after each epoch, stopped early, resumed after an interruption.

history = loop(step, decoder, optimizer, epochs=6, steps_per_epoch=633, patience=3, dev=dev.cider)
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import numpy as np

from train.errors import StoppedError
from train.fitting.checkpoint import Checkpoint
from train.models.decoder import Decoder

# Called with the number of steps done and what was measured: "loss" after each step, "dev_cider" after each epoch.
Report = Callable[[int, Mapping[str, float]], None]


class History(NamedTuple):
    """What was measured in each epoch: the mean loss, and CIDEr on dev photos (times 100) where there are any.

    ``dev_cider_before`` is that of the weights that training began with, where the decoder could caption already.
    """

    losses: list[float]
    dev_cider: list[float]
    dev_cider_before: float | None = None

    @property
    def best_epoch(self) -> int | None:
        """The epoch, from 1, whose weights training ended with: the first with the highest CIDEr. 0 where that is what
        it began with, ``None`` where nothing was measured."""
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
    taught: bool = False,
    dev: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda step, measured: None,
) -> History:
    """Takes the steps that are still to be taken.

    Args:
      step: takes the step of a number, from 0, and returns its loss. It must depend on nothing else but the decoder's
        and the optimiser's variables, so that a resumed run equals an undisturbed one.
      decoder, optimizer: built; their variables are what a checkpoint keeps.
      epochs: at most.
      patience: epochs without a better dev CIDEr after which training ends; without ``dev`` it has no meaning.
      taught: whether the decoder can speak already: what it begins with is then measured, too, and may stay the best.
      dev: measures the decoder as it is. The decoder ends with the weights that measured best.
      checkpoint: where to go on from, and where to keep what is needed for that.
      report: see ``Report``.

    Raises:
      StoppedError: the loss or a weight is no longer a number.
    """
    variables = [*decoder.variables, *optimizer.variables]
    losses: list[float] = []
    ciders: list[float] = []
    best: list[np.ndarray] = []
    if checkpoint and (kept := checkpoint.restore()):
        losses, ciders = kept.progress["losses"], kept.progress["dev_cider"]
        best = kept.arrays.get("best", [])
        for variable, value in zip(variables, kept.arrays["variables"], strict=True):
            variable.assign(value)

    def over() -> bool:
        waited = len(ciders) - 1 - int(np.argmax(ciders)) if ciders else 0
        return len(losses) >= epochs * steps_per_epoch or (len(losses) % steps_per_epoch == 0 and waited >= patience)

    if dev and taught and not ciders:
        ciders, best = [dev()], values(decoder.variables)
        report(0, {"dev_cider": ciders[0]})
    while not over():
        losses.append(step(len(losses)))
        if not math.isfinite(losses[-1]):
            raise _diverged(len(losses), f"the loss is {losses[-1]}")
        report(len(losses), {"loss": losses[-1]})
        if dev and len(losses) % steps_per_epoch == 0:
            ciders.append(dev())
            report(len(losses), {"dev_cider": ciders[-1]})
            if ciders[-1] > max(ciders[:-1], default=-1.0):
                best = values(decoder.variables)
        if checkpoint and (checkpoint.due or over()):
            checkpoint.save({"losses": losses, "dev_cider": ciders}, {"variables": values(variables), "best": best})
    if not all(np.isfinite(value).all() for value in values(decoder.variables)):  # the last step's doing
        raise _diverged(len(losses), "a weight is not a number")
    for variable, value in zip(decoder.variables, best, strict=False):  # nothing where nothing was measured
        variable.assign(value)
    by_epoch = np.array(losses).reshape(-1, steps_per_epoch)
    mean = [float(loss) for loss in by_epoch.mean(axis=1)]
    return History(mean, ciders[1:], ciders[0]) if dev and taught else History(mean, ciders)


def _diverged(step: int, what: str) -> StoppedError:
    return StoppedError(
        f"Training stopped at step {step:,}: {what}. Nothing was exported. Lower the learning rate by --set "
        "(learning_rate, self_critical_learning_rate), or set clip_norm=1.0 or mixed_precision=false."
    )


def values(variables: list[keras.Variable]) -> list[np.ndarray]:
    """What the variables are now; later steps leave it alone."""
    return [np.array(variable.numpy()) for variable in variables]
