"""Mixed precision where the device supports it: products in half precision, weights and sums in single precision.

    precision = best_precision()                # "float16", "bfloat16" or "float32"
    with mixed(precision): ...                  # training steps

TensorFlow rewrites its graphs, so models need no change. The setting is process-wide; ``mixed`` undoes it at its end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import tensorflow as tf

from beam_job.devices import HALF_PRECISION_FROM, bfloat16_is_fast, gpus

Precision: TypeAlias = Literal["float16", "bfloat16", "float32"]
# TensorFlow's list of operations that stay in single precision (auto_mixed_precision_lists.h), and additions to it for
# CPUs: the gradients of depthwise convolutions in bfloat16 made a step of fine-tuning take 1.7 times as long.
_KEEP_OUT = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_REMOVE"
_SINGLE = ("DepthwiseConv2dNative", "DepthwiseConv2dNativeBackpropFilter", "DepthwiseConv2dNativeBackpropInput")


def best_precision() -> Precision:
    """The fastest precision of this machine: float16 on GPUs with tensor cores, bfloat16 on CPUs where it is fast.

    An epoch takes about half the time there.
    """
    if found := gpus():
        abilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in found]
        return "float16" if min(abilities) >= HALF_PRECISION_FROM else "float32"
    return "bfloat16" if bfloat16_is_fast() else "float32"


@contextmanager
def mixed(precision: Precision) -> Iterator[None]:
    """Graphs that first run inside this context multiply in that precision."""
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
