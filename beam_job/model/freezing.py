"""A function of a SavedModel with its weights as float32 constants, ready to be put into another graph."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

Frozen: TypeAlias = Callable[..., dict[str, tf.Tensor]]


def freeze(function: Any) -> Frozen:
    """Turns a signature of a loaded SavedModel into a function that can be traced into another graph.

    Weights become constants, so that TensorFlow can fold batch normalisation into convolutions. It does not do this for
    depthwise convolutions, so those are folded here. Weights stored as float16 are converted to float32 once, here,
    instead of at every step of the decoder loop.

    Args:
      function: a ``ConcreteFunction`` with named inputs and outputs, from ``tf.saved_model.load(...).signatures``.

    Returns:
      A function with the same named inputs that returns the named outputs; call it inside a ``tf.function``.
    """
    outputs = sorted(function.structured_outputs)  # TensorFlow flattens a dictionary by its sorted keys
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    graph_def = _fold_depthwise(_widen(frozen.graph.as_graph_def()))
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
            _make_constant(node, node.name, values)
    return graph_def


def _fold_depthwise(graph_def: Any) -> Any:
    """Turns ``depthwise(x, kernel) * scale + shift`` into ``bias_add(depthwise(x, kernel * scale), shift)``.

    TensorFlow then computes that and the activation behind it in one pass over the feature map instead of four.
    """
    nodes = {node.name: node for node in graph_def.node}
    uses = Counter(name for node in graph_def.node for name in node.input)

    def constant(name: str) -> bool:
        node = nodes[name]
        return node.op == "Const" or (bool(node.input) and all(map(constant, node.input)))

    found: list[tuple[Any, Any, Any]] = []
    wanted: list[str] = []
    for add in graph_def.node:
        scaled: Any = nodes.get(add.input[0]) if add.op == "AddV2" else None
        depthwise: Any = nodes.get(scaled.input[0]) if scaled is not None and scaled.op == "Mul" else None
        if depthwise is None or depthwise.op != "DepthwiseConv2dNative" or uses[depthwise.name] + uses[scaled.name] > 2:
            continue
        parameters = depthwise.input[1], scaled.input[1], add.input[1]
        if depthwise.attr["data_format"].s == b"NHWC" and all(map(constant, parameters)):
            found.append((depthwise, scaled, add))
            wanted += parameters
    values = iter(_evaluate(graph_def, wanted))
    for depthwise, scaled, add in found:
        kernel, scale, shift = next(values), next(values), next(values)
        folded = kernel * scale.reshape(kernel.shape[2:])
        depthwise.input[1] = _make_constant(graph_def.node.add(), f"{depthwise.name}/folded", folded)
        scaled.op = "BiasAdd"
        scaled.input[1] = _make_constant(graph_def.node.add(), f"{scaled.name}/bias", shift)
        add.op = "Identity"
        del add.input[1]
    return graph_def


def _evaluate(graph_def: Any, names: Sequence[str]) -> list[np.ndarray]:
    """The values of nodes that depend on constants alone."""

    def draw() -> list[tf.Tensor]:
        return tf.graph_util.import_graph_def(graph_def, {}, [f"{name}:0" for name in names])

    return [tensor.numpy() for tensor in tf.compat.v1.wrap_function(draw, [])()] if names else []


def _make_constant(node: Any, name: str, values: np.ndarray) -> str:
    node.Clear()
    node.name, node.op = name, "Const"
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    return name
