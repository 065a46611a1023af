"""A function of a model: its graph, in which weights are placeholders, and their values.

    function = Function(graph_def, {"kernel": kernel}, {"features": "Relu_3:0"})
    encode = bind(function)
    encode(images=images)["features"]  # inside a tf.function

As constants the weights would be copied with the graph each time that TensorFlow traces, optimises or runs it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Bound: TypeAlias = Callable[..., dict[str, tf.Tensor]]


@dataclass
class Function:
    """A function of named inputs and outputs.

    Attributes:
      graph_def: without control flow; inputs and weights are placeholders.
      weights: values by the name of their placeholder, float32 or bfloat16.
      outputs: tensors of the graph by the name of the output.
    """

    graph_def: Any
    weights: dict[str, np.ndarray]
    outputs: dict[str, str]

    def shapes(self) -> Callable[[str], tf.TensorShape]:
        """Returns a function from the name of a tensor to its shape, as far as it is known."""
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(self.graph_def, name="")
        return lambda tensor: graph.get_tensor_by_name(tensor).shape


def bind(function: Function, shared: str = "", by_image: Mapping[str, int] | None = None) -> Bound:
    """Returns a function of the named inputs, which gives the named outputs; call it inside a ``tf.function``.

    Args:
      function: see above.
      shared: name of an input [images, ...]; each image has the same number of consecutive rows of the other inputs.
      by_image: what ``folding.share`` returned for that input.
    """
    shape = function.shapes()
    shapes = [shape(tensor) for tensor in function.outputs.values()]
    weights = {name: tf.constant(values) for name, values in function.weights.items()}
    graph_def, names, fetches = function.graph_def, list(function.outputs), list(function.outputs.values())

    def draw(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        if shared:
            rows = next(tf.shape(tensor)[0] for name, tensor in inputs.items() if name != shared)
            each = rows // tf.shape(inputs[shared])[0]
            if by_image is None:
                inputs[shared] = tf.repeat(inputs[shared], each, axis=0)
            else:
                inputs |= {name: tf.stack([-1, each, channels]) for name, channels in by_image.items()}
        # An identity brings a tensor of an enclosing graph (around a loop's body) into this one.
        feeds = {f"{name}:0": tf.identity(tensor) for name, tensor in (weights | inputs).items()}
        tensors = tf.graph_util.import_graph_def(graph_def, feeds, fetches)
        for tensor, known in zip(tensors, shapes, strict=True):
            tensor.set_shape(known)
        return dict(zip(names, tensors, strict=True))

    return draw
