"""The curves of training: progress on standard error, and TensorBoard."""

import os
from collections.abc import Mapping

import tensorflow as tf

from beam_job.messages.quantity import quantity
from train.fitting.loop import Report
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
