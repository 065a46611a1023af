"""Functions of a SavedModel, which models of format version 1 are."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from beam_job.model.graph.function import Function
from beam_job.model.graph.nodes import rename, take_weights, without_control


def read_saved_model(directory: Path) -> dict[str, Function]:
    """The functions behind the signatures of a SavedModel."""
    loaded = tf.saved_model.load(str(directory))
    return {name: from_signature(signature) for name, signature in loaded.signatures.items()}


def from_signature(signature: Any, names: Mapping[str, Any] = MappingProxyType({})) -> Function:
    """The function of a ``ConcreteFunction`` with named inputs and outputs.

    Args:
      signature: see above.
      names: its variables by the names that their values shall have among the weights. Without names every array is a
        weight, by the name of its node.
    """
    handles = {id(variable.handle): name for name, variable in names.items()}
    stable = {inner.op.name: handles[id(outer)] for outer, inner in signature.graph.captures if id(outer) in handles}
    outputs = sorted(signature.structured_outputs)  # TensorFlow flattens a dictionary by its sorted keys
    frozen = convert_variables_to_constants_v2(signature, lower_control_flow=False)
    graph_def = frozen.graph.as_graph_def()
    tensors = [tensor.name for tensor in frozen.outputs]
    rename(graph_def, stable)
    without_control(graph_def)
    return Function(graph_def, take_weights(graph_def, set(stable.values())), dict(zip(outputs, tensors, strict=True)))
