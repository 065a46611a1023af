"""Functions in a model directory: a graph in a file each, and the weights of all of them in one.

``encode.pb`` and ``decode_step.pb`` are TensorFlow graphs (``GraphDef``) with a placeholder for each input and each
weight, and an identity ``out/NAME`` for each output. ``weights.npz`` has the weights by the names of their
placeholders. To read that is quick: there are no variables to make, and nothing to freeze.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tensorflow.python.framework.meta_graph import strip_graph_default_valued_attrs

from beam_job.model.graph.function import Function
from beam_job.model.graph.nodes import behind, source_name
from beam_job.model.manifest import WEIGHTS

_OUTPUT = "out/"


def write_functions(directory: Path, functions: Mapping[str, Function]) -> None:
    """Writes functions with different names for their weights; equal ones give equal files."""
    weights: dict[str, np.ndarray] = {}
    for name, function in functions.items():
        graph_def = _with_plain_names(function)
        (directory / f"{name}.pb").write_bytes(graph_def.SerializeToString(deterministic=True))
        weights |= function.weights
    np.savez(directory / WEIGHTS, **{name: weights[name] for name in sorted(weights)})  # type: ignore[arg-type]


def read_stored(directory: Path, names: tuple[str, ...]) -> dict[str, Function]:
    """The functions of a directory by their names.

    Raises:
      ValueError: a file is none of these, or lacks a weight.
    """
    functions = {}
    with np.load(directory / WEIGHTS, allow_pickle=False) as weights:
        for name in names:
            graph_def = GraphDef()
            try:
                graph_def.ParseFromString((directory / f"{name}.pb").read_bytes())
            except Exception as error:  # protobuf's own, which has no stable name
                raise ValueError(f"{name}.pb is not a graph") from error
            held = {node.name for node in graph_def.node if node.op == "Placeholder"} & set(weights.files)
            outputs = {n.name.removeprefix(_OUTPUT): f"{n.name}:0" for n in graph_def.node if n.name[:4] == _OUTPUT}
            functions[name] = Function(graph_def, {weight: weights[weight] for weight in held}, outputs)
    return functions


def _with_plain_names(function: Function) -> Any:
    """The graph with names and an order that do not depend on what the process has done before."""
    placeholders = sorted(node.name for node in function.graph_def.node if node.op == "Placeholder")
    outputs = [function.outputs[output] for output in sorted(function.outputs)]
    nodes = behind(function.graph_def, [*placeholders, *map(source_name, outputs)])
    names = {n.name: n.name if n.op == "Placeholder" else f"{n.op}_{number}" for number, n in enumerate(nodes)}

    def renamed(source: str) -> str:
        name, colon, output = source.partition(":")
        return names[name] + colon + output

    meta = MetaGraphDef()
    meta.graph_def.versions.CopyFrom(function.graph_def.versions)
    for original in nodes:
        node = meta.graph_def.node.add(name=names[original.name], op=original.op, input=map(renamed, original.input))
        for key, value in original.attr.items():
            if key[0] != "_":
                node.attr[key].CopyFrom(value)
    for output, tensor in sorted(function.outputs.items()):
        node = meta.graph_def.node.add(name=f"{_OUTPUT}{output}", op="Identity", input=[renamed(tensor)])
        node.attr["T"].type = tf.float32.as_datatype_enum
    strip_graph_default_valued_attrs(meta)  # an older release may not know them
    return meta.graph_def
