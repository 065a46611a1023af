"""The graphs of a model: read from its directory, with what depends on weights alone computed once, and made ready to
be traced."""

from beam_job.model.graph.bfloat16 import halve
from beam_job.model.graph.folding import fold, share
from beam_job.model.graph.function import Bound, Function, bind
from beam_job.model.graph.load import open_functions, read_functions
from beam_job.model.graph.saved_model import from_signature
from beam_job.model.graph.stored import write_functions

__all__ = [
    "Bound",
    "Function",
    "bind",
    "fold",
    "from_signature",
    "halve",
    "open_functions",
    "read_functions",
    "share",
    "write_functions",
]
