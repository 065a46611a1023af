"""Which weights a training run exported, and how good they were on the dev photos.

outcome(fitted, rewarded=None, share=1.0, mixture=None)
# Outcome("after 3 of 5 epochs, dev CIDEr 60.2 (57.7 before)", is_start=False)
"""

from typing import NamedTuple

from train.fitting.loop import History


class Outcome(NamedTuple):
    """A sentence for people, without its full stop; and whether the weights are those that training started from."""

    text: str
    is_start: bool


def outcome(fitted: History, rewarded: History | None, share: float, mixture: float | None) -> Outcome:
    """Describes the exported weights, from the histories of both stages.

    Args:
      fitted: history of teacher forcing.
      rewarded: history of self-critical training, if there was that stage.
      share: share of the second stage's weights in the interpolation; 1 without interpolation.
      mixture: dev CIDEr of the interpolated weights, if it was measured.
    """
    stages = [_stage(fitted, "epoch")]
    if rewarded:
        stages.append(_stage(rewarded, "self-critical epoch"))
    is_start = fitted.best_epoch == 0 and (not rewarded or rewarded.best_epoch == 0)
    if is_start:
        before = f"{fitted.dev_cider_before:.1f}"
        return Outcome(f"the model that training started from: no epoch was better than its dev CIDEr {before}", True)
    text = " and ".join(stages)
    if rewarded and share < 1:
        text += f", mixed: {share:.0%} of the weights after the second stage, the rest from before it"
        if mixture is not None:
            text += f", dev CIDEr {mixture:.1f}"
    return Outcome(f"after {text}", False)


def _stage(history: History, epoch: str) -> str:
    """``3 of 5 epochs, dev CIDEr 60.2 (57.7 before)``."""
    count = len(history.losses)
    epochs = epoch if count == 1 else f"{epoch}s"
    if history.best_epoch is None:
        return f"{count} {epochs}"
    if history.best_epoch == 0:
        return f"0 of {count} {epochs}, dev CIDEr {history.dev_cider_before:.1f}"
    text = f"{history.best_epoch} of {count} {epochs}, dev CIDEr {history.dev_cider[history.best_epoch - 1]:.1f}"
    before = history.dev_cider_before
    return text if before is None else f"{text} ({before:.1f} before)"
