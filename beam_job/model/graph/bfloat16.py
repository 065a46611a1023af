"""Half precision on CPUs: products in bfloat16, what needs the range or the digits in float32.

    halve(encode, keep="labels")
    halve(decode_step, keep="logits")

TensorFlow could rewrite its graphs itself, but then logits would be in bfloat16 too, in steps of 0.06, and every other
graph of the process would be rewritten with them.
"""

from typing import Any

import ml_dtypes
import tensorflow as tf

from beam_job.model.graph.folding import remove_unused
from beam_job.model.graph.function import Function
from beam_job.model.graph.nodes import by_name, in_order, make_constant, make_placeholder, source_name

_FLOAT, _HALF = tf.float32.as_datatype_enum, tf.bfloat16.as_datatype_enum
_CONVOLUTIONS = {"Conv2D", "DepthwiseConv2dNative"}
# What stands between convolutions, and behind the last one, may be in bfloat16 as well: a feature map is then read and
# written in half the bytes.
_BETWEEN = {
    *("AvgPool", "BiasAdd", "ConcatV2", "ExpandDims", "Identity", "MaxPool", "Maximum", "Mean"),
    *("Minimum", "Mul", "Pad", "PadV2", "RealDiv", "Relu", "Relu6", "Reshape", "Sigmoid", "Squeeze", "Sub", "Tanh"),
}
_BEHIND = {"BiasAdd", "Identity", "Relu", "Relu6", "Reshape"}
# Convolutions after the pixels that stay in float32: what is rounded there, all others amplify. For the default model
# 93 % of the captions are then the same as in float32, instead of 89 %.
_FIRST = 2


def halve(function: Function, keep: str = "") -> None:
    """Puts the products of a function with its weights into bfloat16.

    Convolutions and what stands between them compute in bfloat16; of other products only the factors are rounded to it.

    Args:
      function: folded; changed.
      keep: an output whose last product stays in float32, if the function has it.
    """
    _halve_convolutions(function)
    _halve_products(function, keep)
    remove_unused(function)


def _halve_convolutions(function: Function) -> None:
    """All of the graph from behind the first convolutions to the last one, if it can be."""
    graph_def, weights = function.graph_def, function.weights
    nodes = by_name(graph_def)
    convolutions = [name for name in in_order(graph_def) if nodes[name].op in _CONVOLUTIONS]
    first, wanted = _with_what_is_behind(graph_def, set(convolutions[:_FIRST])), convolutions[_FIRST:]
    inside: set[str] = set()
    while wanted:
        name = wanted.pop()
        node = nodes[name]
        if name in inside or name in first or name in weights or not _is_float(node):
            continue
        if node.op in ("AddV2", "Cast", "Const", "Placeholder"):
            continue
        if node.op not in _CONVOLUTIONS | _BETWEEN:
            return
        inside.add(name)
        wanted += map(source_name, node.input)
    inside = _with_what_is_behind(graph_def, inside)
    for name in inside:
        node = nodes[name]
        for place, source in enumerate(node.input):
            part = nodes[source_name(source)]
            if part.name in inside:
                continue
            if part.name in weights:
                node.input[place] = _halved_weight(function, part.name)
            elif part.op == "Const" and part.attr["dtype"].type == _FLOAT:
                values = tf.make_ndarray(part.attr["value"].tensor).astype(ml_dtypes.bfloat16)
                node.input[place] = make_constant(graph_def.node.add(), f"{name}/half/{place}", values)
            elif _is_float(part):
                node.input[place] = _cast(graph_def, source, _HALF, f"{name}/half/{place}")
        node.attr["T"].type = _HALF
    _widen_behind(function, inside)


def _halved_weight(function: Function, name: str) -> str:
    """The name of the same weight in bfloat16; the weight itself stays for whoever else uses it."""
    halved = f"{name}/half"
    if halved not in function.weights:
        function.weights[halved] = function.weights[name].astype(ml_dtypes.bfloat16)
        make_placeholder(function.graph_def.node.add(name=halved), function.weights[halved])
    return halved


def _with_what_is_behind(graph_def: Any, names: set[str]) -> set[str]:
    """The nodes and those behind them that TensorFlow computes in one pass with a convolution, or that only pass on."""
    nodes, found = by_name(graph_def), set(names)
    for name in in_order(graph_def):
        node = nodes[name]
        if node.op in _BEHIND and source_name(node.input[0]) in found:
            found.add(name)
    return found


def _halve_products(function: Function, keep: str) -> None:
    """Both factors of each product with a weight that is not in bfloat16 yet."""
    graph_def, weights = function.graph_def, function.weights
    kept = _last_product(function, keep) if keep in function.outputs else ""
    changed = set()
    for node in list(graph_def.node):
        if node.op != "MatMul" or node.name == kept or node.input[1] not in weights:
            continue
        node.input[0] = _cast(graph_def, node.input[0], _HALF, f"{node.name}/half/0")
        node.input[1] = _halved_weight(function, node.input[1])
        node.attr["T"].type = _HALF
        changed.add(node.name)
    _widen_behind(function, changed)


def _widen_behind(function: Function, halved: set[str]) -> None:
    """Casts what the halved nodes give to others back to float32."""
    graph_def = function.graph_def
    casts: dict[str, str] = {}

    def wide(source: str) -> str:
        if source not in casts:
            casts[source] = _cast(graph_def, source, tf.float32.as_datatype_enum, f"{source_name(source)}/wide")
        return casts[source]

    for node in list(graph_def.node):
        if node.name in halved:
            continue
        for place, source in enumerate(node.input):
            if source_name(source) in halved:
                node.input[place] = wide(source)
    for output, tensor in function.outputs.items():
        if source_name(tensor) in halved:
            function.outputs[output] = f"{wide(source_name(tensor))}:0"


def _last_product(function: Function, output: str) -> str:
    """The product that an output comes from, with nothing but shapes and a bias behind it."""
    nodes = by_name(function.graph_def)
    node = nodes[source_name(function.outputs[output])]
    while node.op in ("AddV2", "BiasAdd", "Identity", "Reshape", "Squeeze", "StridedSlice", "Cast"):
        node = nodes[source_name(node.input[0])]
    return node.name


def _is_float(node: Any) -> bool:
    return any(node.attr[kind].type == _FLOAT for kind in ("T", "DstT", "dtype") if kind in node.attr)


def _cast(graph_def: Any, source: str, kind: int, name: str) -> str:
    node = graph_def.node.add(name=name, op="Cast", input=[source])
    node.attr["SrcT"].type = _FLOAT if kind == _HALF else _HALF
    node.attr["DstT"].type = kind
    return name
