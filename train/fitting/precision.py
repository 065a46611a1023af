"""Mixed precision where the device has it: products in half precision, weights and sums in single precision.

    precision = best_precision()                # "float16", "bfloat16" or "float32"
    optimizer = adam(1e-3, 5.0, precision)
    optimizer = adam(1e-3, 5.0, precision, slow=decoder.slow, share=0.1)
    with mixed(precision): ...                  # training steps

TensorFlow rewrites its graphs for it, so that no model has to know.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import keras
import tensorflow as tf

from beam_job.devices import HALF_PRECISION_FROM, gpus
from train.fitting.replicas import Adam

Precision: TypeAlias = Literal["float16", "bfloat16", "float32"]
# TensorFlow's list of what to leave in single precision (auto_mixed_precision_lists.h), and what to add to it on CPUs:
# in bfloat16 fine-tuning's step took 1.7 times as long, by the gradients of depthwise convolutions.
_KEEP_OUT = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_REMOVE"
_SINGLE = ("DepthwiseConv2dNative", "DepthwiseConv2dNativeBackpropFilter", "DepthwiseConv2dNativeBackpropInput")

Rate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


def best_precision() -> Precision:
    """What this machine is made for: GPUs with tensor cores multiply in float16, CPUs with AMX in bfloat16.

    An epoch takes half the time or so there.
    """
    if found := gpus():
        abilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in found]
        return "float16" if min(abilities) >= HALF_PRECISION_FROM else "float32"
    cpu = Path("/proc/cpuinfo")
    return "bfloat16" if cpu.exists() and "amx_bf16" in cpu.read_text(errors="replace") else "float32"


@contextmanager
def mixed(precision: Precision) -> Iterator[None]:
    """Graphs that run for the first time in here multiply in that precision."""
    options = {"float16": "auto_mixed_precision", "bfloat16": "auto_mixed_precision_onednn_bfloat16"}
    option = options.get(precision)
    before = os.environ.get(_KEEP_OUT)
    if option:
        tf.config.optimizer.set_experimental_options({option: True})
    if precision == "bfloat16":
        os.environ[_KEEP_OUT] = ",".join(filter(None, (before, *_SINGLE)))
    try:
        yield
    finally:
        if option:
            tf.config.optimizer.set_experimental_options({option: False})
        if before is not None:
            os.environ[_KEEP_OUT] = before
        else:
            os.environ.pop(_KEEP_OUT, None)


def adam(
    rate: Rate,
    clip_norm: float | None,
    precision: Precision,
    *,
    slow: Sequence[keras.Variable] = (),
    share: float = 1.0,
) -> keras.optimizers.Optimizer:
    """Adam; in float16, whose range is narrow, the loss is scaled up for it (Micikevicius et al. 2018).

    The variables in ``slow`` learn at that share of the rate.
    """
    optimizer = TwoRateAdam(rate, clip_norm, slow, share)
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer


class TwoRateAdam(Adam):
    """Adam with two rates, which Keras's own does not have."""

    def __init__(self, rate: Rate, clip_norm: float | None, slow: Sequence[keras.Variable], share: float):
        super().__init__(rate, global_clipnorm=clip_norm)
        self._slow, self._share = slow, share

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        """Called by Keras for each variable."""
        slow = {self._get_variable_index(one) for one in self._slow}
        share = self._share if self._get_variable_index(variable) in slow else 1.0
        super().update_step(gradient, variable, learning_rate * share)
