"""Rewriting of a function's graph: what depends on weights alone is computed once, instead of for each image or word.

    fold(function)
    by_image = share(function, "features")

Each function changes the one that it is given, and leaves alone what it does not know.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from beam_job.model.graph.function import Function
from beam_job.model.graph.nodes import by_name, in_order, make_constant, make_placeholder, part_for, source_name, uses


def fold(function: Function) -> None:
    """Everything of this module that changes no input."""
    widen(function)
    fold_weights(function)
    fold_convolutions(function)
    fold_embedding(function)


def widen(function: Function) -> None:
    """Puts weights that are stored in half precision and used in single precision into single precision."""
    nodes, weights = by_name(function.graph_def), function.weights
    for node in function.graph_def.node:
        if node.op == "Cast" and node.attr["DstT"].type == tf.float32.as_datatype_enum:
            source = nodes[source_name(node.input[0])]
            while source.op == "Identity":
                source = nodes[source_name(source.input[0])]
            if source.name in weights:
                weights[node.name] = weights[source.name].astype(np.float32)
                make_placeholder(node, weights[node.name])
    remove_unused(function)


def fold_weights(function: Function) -> None:
    """Computes what depends on weights and constants alone, such as the scale of a batch normalisation, and makes it
    weights.
    """
    graph_def = function.graph_def
    nodes = by_name(graph_def)
    fixed: set[str] = set()  # nodes that depend on weights, perhaps on constants too, and on nothing else
    constant: set[str] = set()  # nodes that depend on constants alone
    sources = {node.name: {source_name(source) for source in node.input} for node in graph_def.node}
    for name in in_order(graph_def):
        if name in function.weights:
            fixed.add(name)
        elif nodes[name].op != "Placeholder" and sources[name] <= constant:
            constant.add(name)
        elif sources[name] and sources[name] <= fixed | constant:
            fixed.add(name)
    last = {
        source
        for node in graph_def.node
        if node.name not in fixed
        for source in node.input
        if source in fixed and source not in function.weights
    }
    wanted = sorted(last)
    for name, values in zip(wanted, evaluate(function, wanted), strict=True):
        if values.dtype.kind == "f":
            function.weights[name] = values
            make_placeholder(nodes[name], values)
    remove_unused(function)


def fold_convolutions(function: Function) -> None:
    """Turns ``conv(x, kernel) * scale + shift`` into ``bias_add(conv(x, kernel * scale), shift)``, and the same of
    depthwise convolutions.

    TensorFlow then computes that and the activation behind it in one pass over the feature map instead of four.
    """
    graph_def, weights = function.graph_def, function.weights
    nodes, used = by_name(graph_def), uses(graph_def)
    for add in list(graph_def.node):
        scaled: Any = nodes.get(add.input[0]) if add.op == "AddV2" else None
        convolved: Any = nodes.get(scaled.input[0]) if scaled is not None and scaled.op == "Mul" else None
        if convolved is None or convolved.op not in ("Conv2D", "DepthwiseConv2dNative"):
            continue
        names = convolved.input[1], scaled.input[1], add.input[1]
        if used[convolved.name] + used[scaled.name] > 2 or convolved.attr["data_format"].s != b"NHWC":
            continue
        if not all(name in weights for name in names):
            continue
        kernel, scale, shift = (weights[name] for name in names)
        by_channel = kernel.shape[3:] if convolved.op == "Conv2D" else kernel.shape[2:]
        if scale.size != np.prod(by_channel) or shift.size != scale.size:
            continue
        convolved.input[1] = _add_weight(function, f"{convolved.name}/folded", kernel * scale.reshape(by_channel))
        scaled.op = "BiasAdd"
        scaled.input[1] = _add_weight(function, f"{scaled.name}/bias", shift.reshape(-1))
        add.op = "Identity"
        del add.input[1]
    remove_unused(function)


def fold_embedding(function: Function) -> None:
    """Turns ``matmul(gather(table, tokens), kernel)`` into ``gather(table @ kernel, tokens)``.

    Whatever lies between the two must only take a word out of a sequence of one. The table is multiplied once, instead
    of its rows at each word of each hypothesis.
    """
    graph_def, weights = function.graph_def, function.weights
    nodes, used = by_name(graph_def), uses(graph_def)
    for product in list(graph_def.node):
        if product.op != "MatMul" or product.attr["transpose_a"].b or product.attr["transpose_b"].b:
            continue
        gather = nodes[source_name(product.input[0])]
        while used[gather.name] == 1 and (gather.op == "Identity" or _takes_a_word(nodes, gather)):
            gather = nodes[source_name(gather.input[0])]
        if gather.op != "GatherV2" or used[gather.name] != 1:
            continue
        if not all(name in weights for name in (gather.input[0], product.input[1])):
            continue
        table, kernel = weights[gather.input[0]], weights[product.input[1]]
        gather.input[0] = _add_weight(function, f"{gather.name}/folded", tf.matmul(table, kernel).numpy())
        name, taken, kind = product.name, product.input[0], product.attr["T"].type
        product.Clear()
        product.name, product.op = name, "Identity"
        product.input.append(taken)
        product.attr["T"].type = kind
    remove_unused(function)


def share(function: Function, name: str) -> dict[str, int] | None:
    """Lets all hypotheses of an image use one copy of its features, the input ``name``.

    Each product of a hypothesis with its copy of the features becomes a product of all hypotheses of an image with its
    features, which are read from memory once for all of them. Afterwards ``name`` is to be fed as [images, positions,
    width] instead of [hypotheses, positions, width].

    Returns:
      Inputs that the function has now, and their numbers of channels: feed each with the shape [-1, hypotheses of an
      image, channels]. ``None``, and no change, where the graph uses the features in any other way.
    """
    graph_def, shape = function.graph_def, function.shapes()
    copies = {name}
    for _ in graph_def.node:  # as often as a chain of copies may be long
        more = {
            n.name for n in graph_def.node if n.op in ("Identity", "Transpose") and source_name(n.input[0]) in copies
        }
        if more <= copies:
            break
        copies |= more
    found = [
        (node, place)
        for node in graph_def.node
        for place, source in enumerate(node.input)
        if source_name(source) in copies and node.name not in copies
    ]
    channels: dict[str, int] = {}
    for node, place in found:
        if node.op != "BatchMatMulV2" or place != 1 or node.attr["adj_x"].b:
            return None
        query = shape(f"{source_name(node.input[0])}:0")
        if query.rank != 3 or query[1] != 1 or query[2] is None:
            return None
        channels[node.name] = query[2]
    feeds: dict[str, int] = {}
    for product, _ in found:
        count, result = channels[product.name], shape(f"{product.name}:0")[2]
        if f"by_image/{count}" not in feeds:
            entry = graph_def.node.add(name=f"by_image/{count}", op="Placeholder")
            entry.attr["dtype"].type = tf.int32.as_datatype_enum
            feeds[entry.name] = count
        apart = f"{product.name}/by_hypothesis"
        for node in graph_def.node:
            for place, source in enumerate(node.input):
                if source == product.name:
                    node.input[place] = apart
        kept = make_constant(graph_def.node.add(), f"{apart}/shape", np.array([-1, 1, result], np.int32))
        product.input[0] = _reshape(graph_def, product.input[0], f"by_image/{count}", f"{product.name}/by_image")
        _reshape(graph_def, product.name, kept, apart)
        for output, tensor in function.outputs.items():
            if tensor == f"{product.name}:0":
                function.outputs[output] = f"{apart}:0"
    return feeds


def evaluate(function: Function, names: Sequence[str]) -> list[np.ndarray]:
    """The values of nodes that depend on weights and constants alone."""
    if not names:
        return []
    part = part_for(function.graph_def, names)
    held = {node.name for node in part.node}
    feeds = {f"{name}:0": values for name, values in function.weights.items() if name in held}
    # A ``tf.function`` would be optimised first: a quarter of a second, for a graph that runs once. A session with a
    # GPU would take all of its memory. The first session of a process decides how many threads all operations share.
    config = tf.compat.v1.ConfigProto(
        device_count={"GPU": 0},
        allow_soft_placement=True,
        intra_op_parallelism_threads=tf.config.threading.get_intra_op_parallelism_threads(),
        inter_op_parallelism_threads=-1,  # no threads of its own
    )
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
        tf.graph_util.import_graph_def(part, name="")
        return session.run([f"{name}:0" for name in names], feeds)


def _add_weight(function: Function, name: str, values: np.ndarray) -> str:
    node = function.graph_def.node.add(name=name)
    make_placeholder(node, values)
    function.weights[name] = values
    return name


def _reshape(graph_def: Any, source: str, shape: str, name: str) -> str:
    node = graph_def.node.add(name=name, op="Reshape", input=[source, shape])
    node.attr["T"].type = tf.float32.as_datatype_enum
    node.attr["Tshape"].type = tf.int32.as_datatype_enum
    return name


def remove_unused(function: Function) -> None:
    """Removes what no output depends on; inputs stay."""
    graph_def = function.graph_def
    outputs = [source_name(tensor) for tensor in function.outputs.values()]
    inputs = [n.name for n in graph_def.node if n.op == "Placeholder" and n.name not in function.weights]
    graph_def.CopyFrom(part_for(graph_def, outputs + inputs))
    held = {node.name for node in graph_def.node}
    for name in [name for name in function.weights if name not in held]:
        del function.weights[name]


def _takes_a_word(nodes: dict[str, Any], node: Any) -> bool:
    """Whether the node is ``sequence[:, word]``: a slice of the first two of three axes."""
    if node.op != "StridedSlice" or not node.attr["shrink_axis_mask"].i:
        return False
    begin = nodes[source_name(node.input[1])]
    return begin.op == "Const" and tf.make_ndarray(begin.attr["value"].tensor).size <= 2
