"""Nodes of a graph: finding them, and putting weights in their place."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef

_FLOATS = {tf.float16.as_datatype_enum, tf.float32.as_datatype_enum, tf.bfloat16.as_datatype_enum}


def by_name(graph_def: Any) -> dict[str, Any]:
    return {node.name: node for node in graph_def.node}


def in_order(graph_def: Any) -> list[str]:
    """The names of all nodes, each behind those that it depends on."""
    return [node.name for node in behind(graph_def, [node.name for node in graph_def.node])]


def uses(graph_def: Any) -> Counter[str]:
    """How often each node is an input of another one."""
    return Counter(source_name(source) for node in graph_def.node for source in node.input)


def source_name(source: str) -> str:
    """The node's name, of an input such as ``name`` or ``name:1``."""
    return source.split(":")[0]


def behind(graph_def: Any, names: Iterable[str]) -> list[Any]:
    """The nodes ``names`` and all that they depend on, each after its own inputs; the order depends on ``names`` and
    the graph's edges alone."""
    nodes = by_name(graph_def)
    found: dict[str, Any] = {}
    waiting = [(name, False) for name in reversed(list(names))]
    while waiting:
        name, ready = waiting.pop()
        if ready:
            found[name] = nodes[name]
        elif name not in found:
            waiting.append((name, True))
            waiting += [(source_name(source), False) for source in reversed(nodes[name].input)]
    return list(found.values())


def part_for(graph_def: Any, names: Iterable[str]) -> Any:
    """The part of the graph that the nodes ``names`` depend on, with these nodes."""
    return GraphDef(versions=graph_def.versions, node=behind(graph_def, names))


def take_weights(graph_def: Any, names: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Turns constants into placeholders, and returns their values: those with these names, or all arrays of floats."""
    taken = {}
    for node in graph_def.node:
        if node.op == "Const" and node.attr["dtype"].type in _FLOATS:
            values = tf.make_ndarray(node.attr["value"].tensor)
            if node.name in names or (not names and values.size > 1):
                taken[node.name] = values
                make_placeholder(node, values)
    return taken


def rename(graph_def: Any, names: Mapping[str, str]) -> None:
    """Gives nodes, each with one output, other names."""
    for node in graph_def.node:
        node.name = names.get(node.name, node.name)
        for place, source in enumerate(node.input):
            node.input[place] = names.get(source, source)


def without_control(graph_def: Any) -> None:
    """Removes the edges that only order nodes; a function without side effects needs none."""
    for node in graph_def.node:
        data = [source for source in node.input if source[0] != "^"]
        del node.input[:]
        node.input.extend(data)


def make_placeholder(node: Any, values: np.ndarray) -> None:
    """Makes a node the placeholder of a weight with these values; its name stays."""
    name = node.name
    node.Clear()
    node.name, node.op = name, "Placeholder"
    node.attr["dtype"].type = tf.as_dtype(values.dtype).as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(values.shape).as_proto())


def make_constant(node: Any, name: str, values: np.ndarray) -> str:
    node.Clear()
    node.name, node.op = name, "Const"
    node.attr["dtype"].type = tf.as_dtype(values.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    return name
