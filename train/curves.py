"""The curves of training: progress on standard error, TensorBoard, and the manifest."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from beam_job.messages.quantity import quantity
from train.fitting.loop import History, Report
from train.progress import Progress, say


def report_to(stage: str, epochs: int, steps_per_epoch: int, logs: str | os.PathLike[str] | None) -> Report:
    """Returns a report that prints progress, and writes curves for TensorBoard if ``logs`` is a folder."""
    progress: Progress | None = None
    writer = tf.summary.create_file_writer(os.path.join(logs, stage)) if logs else None

    def report(step: int, measured: Mapping[str, float]) -> None:
        nonlocal progress
        if "loss" in measured:
            progress = progress or Progress(stage, "step", epochs * steps_per_epoch, done=step - 1)
            progress(step, f"epoch {step / steps_per_epoch:.2f} loss {measured['loss']:.3f}")
        else:
            say(f"{stage}: after {quantity(step, 'step')} dev CIDEr is {measured['dev_cider']:.1f}")
        if writer:
            with writer.as_default(step):
                for name, value in measured.items():
                    tf.summary.scalar(name, value)
                if "dev_cider" in measured or step == epochs * steps_per_epoch:
                    writer.flush()

    return report


class Stages(NamedTuple):
    """The curves of the stages, and the dev CIDEr of the interpolated weights if there are any."""

    sentences: History | None
    first: History
    second: History | None
    interpolated: float | None


def describe_curves(stages: Stages, *, validated: bool) -> dict[str, Any]:
    """The curves of both stages, for the manifest."""
    first, second = stages.first, stages.second
    described: dict[str, Any] = {}
    if stages.sentences:
        described["sentence_loss_by_epoch"] = [round(loss, 4) for loss in stages.sentences.losses]
    described["loss_by_epoch"] = [round(loss, 4) for loss in first.losses]
    if validated:
        described["dev_cider_by_epoch"] = [round(cider, 2) for cider in first.dev_cider]
    if first.dev_cider_before is not None:
        described["dev_cider_before"] = round(first.dev_cider_before, 2)
    if second:
        described["reward_by_epoch"] = [round(-100 * loss, 2) for loss in second.losses]
        if validated:
            described["dev_cider_by_self_critical_epoch"] = [round(cider, 2) for cider in second.dev_cider]
    if stages.interpolated is not None:
        described["dev_cider"] = round(stages.interpolated, 2)
    return described
