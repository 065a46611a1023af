"""A function of a SavedModel with its weights as float32 constants, ready to be put into another graph."""

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from beam_job.model.folding import fold_depthwise, fold_embedding, share, widen

Frozen: TypeAlias = Callable[..., dict[str, tf.Tensor]]


def freeze(function: Any, shared: str = "") -> Frozen:
    """Turns a signature of a loaded SavedModel into a function that can be traced into another graph.

    Weights become constants, so that TensorFlow can fold batch normalisation into convolutions. It does not do this for
    depthwise convolutions, so those are folded here (see ``folding``). Weights stored as float16 are converted to
    float32 once, here, instead of at every step of the decoder loop.

    Args:
      function: a ``ConcreteFunction`` with named inputs and outputs, from ``tf.saved_model.load(...).signatures``.
      shared: name of an input [images, ...]; each image has the same number of consecutive rows of the other inputs.

    Returns:
      A function with the same named inputs that returns the named outputs; call it inside a ``tf.function``.
    """
    outputs = sorted(function.structured_outputs)  # TensorFlow flattens a dictionary by its sorted keys
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    graph_def = frozen.graph.as_graph_def()
    widen(graph_def)
    fold_depthwise(graph_def)
    fold_embedding(graph_def)
    by_image = share(graph_def, frozen.graph, shared) if shared else {}
    fetches = [tensor.name for tensor in frozen.outputs]
    shapes = [tensor.shape for tensor in frozen.outputs]

    def draw(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        if shared:
            other = next(tensor for name, tensor in inputs.items() if name != shared)
            each = tf.shape(other)[0] // tf.shape(inputs[shared])[0]
            if by_image is None:
                inputs[shared] = tf.repeat(inputs[shared], each, axis=0)
            else:
                inputs |= {name: tf.stack([-1, each, channels]) for name, channels in by_image.items()}
        # An identity brings a tensor of an enclosing graph (around a loop's body) into this one.
        feeds = {f"{name}:0": tf.identity(tensor) for name, tensor in inputs.items()}
        tensors = tf.graph_util.import_graph_def(graph_def, feeds, fetches)
        for tensor, shape in zip(tensors, shapes, strict=True):
            tensor.set_shape(shape)
        return dict(zip(outputs, tensors, strict=True))

    return draw
