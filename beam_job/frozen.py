"""A function of a SavedModel with its weights as float32 constants, ready to be put into another graph."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

Frozen: TypeAlias = Callable[..., dict[str, tf.Tensor]]


def freeze(function: Any) -> Frozen:
    """Turns a signature of a loaded SavedModel into a function that draws itself into the graph being traced.

    Weights become constants, so that TensorFlow can fold batch normalisation into convolutions; those stored as
    float16 are widened once, here, instead of at every step of the decoder loop.

    Args:
      function: a ``ConcreteFunction`` with named inputs and outputs, as ``tf.saved_model.load(...).signatures`` holds.

    Returns:
      A function of the same named inputs that returns the named outputs; call it inside a ``tf.function``.
    """
    outputs = sorted(function.structured_outputs)  # TensorFlow flattens a dictionary by its sorted keys
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    graph_def = _widen(frozen.graph.as_graph_def())
    fetches = [tensor.name for tensor in frozen.outputs]
    shapes = [tensor.shape for tensor in frozen.outputs]

    def draw(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        # An identity brings a tensor of an enclosing graph (around a loop's body) into this one.
        feeds = {f"{name}:0": tf.identity(tensor) for name, tensor in inputs.items()}
        tensors = tf.graph_util.import_graph_def(graph_def, feeds, fetches)
        for tensor, shape in zip(tensors, shapes, strict=True):
            tensor.set_shape(shape)
        return dict(zip(outputs, tensors, strict=True))

    return draw


def _widen(graph_def: Any) -> Any:
    """Replaces each cast of a float16 constant to float32 by the float32 constant itself."""
    nodes = {node.name: node for node in graph_def.node}
    for node in graph_def.node:
        if node.op != "Cast" or node.attr["DstT"].type != tf.float32.as_datatype_enum:
            continue
        source = nodes[node.input[0].split(":")[0]]
        while source.op == "Identity":
            source = nodes[source.input[0].split(":")[0]]
        if source.op == "Const" and source.attr["dtype"].type == tf.float16.as_datatype_enum:
            values = tf.make_ndarray(source.attr["value"].tensor).astype(np.float32)
            name = node.name
            node.Clear()
            node.name, node.op = name, "Const"
            node.attr["dtype"].type = tf.float32.as_datatype_enum
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    return graph_def
