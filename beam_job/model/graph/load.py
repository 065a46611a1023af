"""The functions of a model directory, of either format version."""

from pathlib import Path

from beam_job.model.graph.function import Function
from beam_job.model.graph.saved_model import read_saved_model
from beam_job.model.graph.stored import read_stored
from beam_job.model.manifest import FUNCTIONS, SAVED_MODEL


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
