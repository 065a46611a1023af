"""The functions of a model directory, of either format version."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from beam_job.model.directory import OpenModel
from beam_job.model.graph.function import Function
from beam_job.model.graph.saved_model import read_saved_model
from beam_job.model.graph.stored import read_stored
from beam_job.model.manifest import FUNCTIONS, LABELS, SAVED_MODEL, ModelError

if TYPE_CHECKING:
    import tensorflow as tf


def open_functions(model: OpenModel) -> list[Function]:
    """*encode* and *decode_step*.

    Raises:
      ModelError: they are missing, or *encode* takes other images or gives other labels than the model's files say.
    """
    try:
        functions = read_functions(model.directory, model.manifest.format_version)
        found = [functions[name] for name in FUNCTIONS]
        shape = found[0].shapes()
        takes = shape("images:0")[1:].as_list()
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"Model {model.directory}: its functions encode and decode_step cannot be read ({error}); export the model "
            "again."
        ) from error
    image = model.manifest.image
    if takes != [image.height, image.width, 3]:
        raise ModelError(
            f"Model {model.directory}: encode expects images of {takes}, but the manifest says {image.height} x "
            f"{image.width}; export the model again."
        )
    _check_labels(model, found[0], shape)
    return found


def _check_labels(model: OpenModel, encode: Function, shape: "Callable[[str], tf.TensorShape]") -> None:
    labels, output = model.labels, encode.outputs.get("labels")
    if not labels and not output:
        return
    if not output:
        wrong = f"it has {LABELS}, but encode gives no labels"
    elif not labels:
        wrong = f"encode gives labels, but its manifest does not list {LABELS}"
    else:
        gives = shape(output)
        if gives.is_compatible_with([None, len(labels)]):
            return
        wrong = f"{LABELS} has {len(labels):,} labels, but encode gives labels of the shape {gives}"
    raise ModelError(f"Model {model.directory}: {wrong}; export the model again.")


def read_functions(directory: Path, format_version: int) -> dict[str, Function]:
    """*encode* and *decode_step*, as they were exported.

    Raises:
      KeyError: one of them is missing.
      ValueError: a file is not what the format says.
    """
    if format_version == 1:
        functions = read_saved_model(directory / SAVED_MODEL)
        return {name: functions[name] for name in FUNCTIONS}
    return read_stored(directory, FUNCTIONS)
