"""Rewriting of a frozen graph: what depends on weights alone is computed once, instead of for each image or word.

Each function takes a graph in which every weight is a constant, changes it, and leaves alone what it does not know.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def widen(graph_def: Any) -> None:
    """Replaces each cast of a float16 constant to float32 by the float32 constant itself."""
    nodes = _by_name(graph_def)
    for node in graph_def.node:
        if node.op != "Cast" or node.attr["DstT"].type != tf.float32.as_datatype_enum:
            continue
        source = nodes[_name(node.input[0])]
        while source.op == "Identity":
            source = nodes[_name(source.input[0])]
        if source.op == "Const" and source.attr["dtype"].type == tf.float16.as_datatype_enum:
            values = tf.make_ndarray(source.attr["value"].tensor).astype(np.float32)
            _make_constant(node, node.name, values)


def fold_depthwise(graph_def: Any) -> None:
    """Turns ``depthwise(x, kernel) * scale + shift`` into ``bias_add(depthwise(x, kernel * scale), shift)``.

    TensorFlow then computes that and the activation behind it in one pass over the feature map instead of four.
    """
    nodes = _by_name(graph_def)
    uses = _uses(graph_def)
    found: list[tuple[Any, Any, Any]] = []
    wanted: list[str] = []
    for add in graph_def.node:
        scaled: Any = nodes.get(add.input[0]) if add.op == "AddV2" else None
        depthwise: Any = nodes.get(scaled.input[0]) if scaled is not None and scaled.op == "Mul" else None
        if depthwise is None or depthwise.op != "DepthwiseConv2dNative" or uses[depthwise.name] + uses[scaled.name] > 2:
            continue
        parameters = depthwise.input[1], scaled.input[1], add.input[1]
        if depthwise.attr["data_format"].s == b"NHWC" and all(_is_constant(nodes, name) for name in parameters):
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


def fold_embedding(graph_def: Any) -> None:
    """Turns ``matmul(gather(table, tokens), kernel)`` into ``gather(table @ kernel, tokens)``.

    Whatever lies between the two must only take a word out of a sequence of one. The table is multiplied once, instead
    of its rows at each word of each hypothesis.
    """
    nodes = _by_name(graph_def)
    uses = _uses(graph_def)
    found: list[tuple[Any, Any]] = []
    wanted: list[str] = []
    for product in graph_def.node:
        if product.op != "MatMul" or product.attr["transpose_a"].b or product.attr["transpose_b"].b:
            continue
        gather = nodes[_name(product.input[0])]
        while uses[gather.name] == 1 and (gather.op == "Identity" or _takes_a_word(nodes, gather)):
            gather = nodes[_name(gather.input[0])]
        if gather.op == "GatherV2" and uses[gather.name] == 1:
            parameters = gather.input[0], product.input[1]
            if all(_is_constant(nodes, name) for name in parameters):
                found.append((gather, product))
                wanted += parameters
    values = iter(_evaluate(graph_def, wanted))
    for gather, product in found:
        table = next(values) @ next(values)
        gather.input[0] = _make_constant(graph_def.node.add(), f"{gather.name}/folded", table)
        name, taken = product.name, product.input[0]
        product.Clear()
        product.name, product.op = name, "Identity"
        product.input.append(taken)
        product.attr["T"].type = tf.float32.as_datatype_enum


def share(graph_def: Any, graph: Any, name: str) -> dict[str, int] | None:
    """Lets all hypotheses of an image use one copy of its features, the placeholder ``name``.

    Each product of a hypothesis with its copy of the features becomes a product of all hypotheses of an image with its
    features, which are read from memory once for all of them.

    Args:
      graph_def: what is changed; ``name`` is then to be fed as [images, positions, width].
      graph: the same graph before the change, with its shapes; there ``name`` is [hypotheses, positions, width].

    Returns:
      Placeholders of the changed graph and their numbers of channels: feed each with the shape [-1, hypotheses of an
      image, channels]. ``None``, and no change, where the graph uses the features in any other way.
    """
    copies = {name}
    for _ in graph_def.node:  # as often as a chain of copies may be long
        more = {n.name for n in graph_def.node if n.op in ("Identity", "Transpose") and _name(n.input[0]) in copies}
        if more <= copies:
            break
        copies |= more
    uses = [
        (node, place)
        for node in graph_def.node
        for place, source in enumerate(node.input)
        if _name(source) in copies and node.name not in copies
    ]
    channels: dict[str, int] = {}
    for node, place in uses:
        if node.op != "BatchMatMulV2" or place != 1 or node.attr["adj_x"].b:
            return None
        query = graph.get_tensor_by_name(f"{_name(node.input[0])}:0").shape
        if query.rank != 3 or query[1] != 1 or query[2] is None:
            return None
        channels[node.name] = query[2]
    feeds: dict[str, int] = {}
    for product, _ in uses:
        count, result = channels[product.name], graph.get_tensor_by_name(f"{product.name}:0").shape[2]
        if f"by_image/{count}" not in feeds:
            placeholder = graph_def.node.add(name=f"by_image/{count}", op="Placeholder")
            placeholder.attr["dtype"].type = tf.int32.as_datatype_enum
            feeds[placeholder.name] = count
        apart = f"{product.name}/by_hypothesis"
        for node in graph_def.node:
            for place, source in enumerate(node.input):
                if source == product.name:
                    node.input[place] = apart
        shape = _make_constant(graph_def.node.add(), f"{apart}/shape", np.array([-1, 1, result], np.int32))
        product.input[0] = _reshape(graph_def, product.input[0], f"by_image/{count}", f"{product.name}/by_image")
        _reshape(graph_def, product.name, shape, apart)
    return feeds


def _reshape(graph_def: Any, source: str, shape: str, name: str) -> str:
    node = graph_def.node.add(name=name, op="Reshape", input=[source, shape])
    node.attr["T"].type = tf.float32.as_datatype_enum
    node.attr["Tshape"].type = tf.int32.as_datatype_enum
    return name


def _takes_a_word(nodes: dict[str, Any], node: Any) -> bool:
    """Whether the node is ``sequence[:, word]``: a slice of the first two of three axes."""
    if node.op != "StridedSlice" or not node.attr["shrink_axis_mask"].i:
        return False
    begin = nodes[_name(node.input[1])]
    return begin.op == "Const" and tf.make_ndarray(begin.attr["value"].tensor).size <= 2


def _by_name(graph_def: Any) -> dict[str, Any]:
    return {node.name: node for node in graph_def.node}


def _uses(graph_def: Any) -> Counter[str]:
    return Counter(_name(source) for node in graph_def.node for source in node.input if not source.startswith("^"))


def _name(source: str) -> str:
    """The node's name, of an input such as ``name``, ``name:1`` or ``^name``."""
    return source.removeprefix("^").split(":")[0]


def _is_constant(nodes: dict[str, Any], name: str) -> bool:
    node = nodes[_name(name)]
    return node.op == "Const" or (bool(node.input) and all(_is_constant(nodes, source) for source in node.input))


def _evaluate(graph_def: Any, names: Sequence[str]) -> list[np.ndarray]:
    """The values of nodes that depend on constants alone."""

    def draw() -> list[tf.Tensor]:
        return tf.graph_util.import_graph_def(graph_def, {}, [f"{name}:0" for name in names])

    return [tensor.numpy() for tensor in tf.compat.v1.wrap_function(draw, [])()] if names else []


def _make_constant(node: Any, name: str, values: np.ndarray) -> str:
    node.Clear()
    node.name, node.op = name, "Const"
    node.attr["dtype"].type = tf.as_dtype(values.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    return name
