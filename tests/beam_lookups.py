"""What Beam looks up again and again while it builds a pipeline, looked up once: half the CPU of a small run.

Beam parses the command line anew whenever it looks at an option, and reads the signature of each method of each step
several times. Both always come to the same result.
"""

import copy
from contextlib import contextmanager
from functools import lru_cache
from types import FunctionType, MethodType
from unittest import mock

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core

_view_as = PipelineOptions.view_as
_get_signature = core.get_signature


@contextmanager
def looked_up_once():
    """Has Beam remember options by their flags, and signatures by their functions."""
    with mock.patch.object(PipelineOptions, "view_as", _view), mock.patch.object(core, "get_signature", _signature):
        yield


@lru_cache(100)  # about as many as a pipeline looks at
def _parsed(options, flags):
    return options(list(flags))._visible_options


def _view(self, options):
    """As Beam's own, which parses the flags here."""
    if self._flags is None:
        return _view_as(self, options)
    parsed = _parsed(options, tuple(self._flags))
    for name, value in vars(parsed).items():
        if name not in self._all_options:
            self._all_options[name] = copy.copy(value)
    view = options.__new__(options)
    view._flags, view._visible_options, view._all_options = self._flags, parsed, self._all_options
    return view


@lru_cache(1000)
def _signature_of(function, is_method):
    return _get_signature(MethodType(function, object()) if is_method else function)


def _signature(function):
    is_method = isinstance(function, MethodType)
    function_itself = function.__func__ if is_method else function
    if isinstance(function_itself, FunctionType):
        return _signature_of(function_itself, is_method)
    return _get_signature(function)
