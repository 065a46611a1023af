"""Unexpected errors, which are bugs: each fails only its image, and is logged and reported."""

import logging
import re
import traceback

CODE = "unexpected"
"""The code of such a failure, whatever its stage."""
MEANING = "An unexpected error: a bug in this program."

_MOST_MESSAGE = 300  # characters
_MOST_TRACE = 5_000
_PLACE = re.compile(r'File "(.*)", line (\d+)')

_logged: set[tuple[str, ...]] = set()  # kinds and places in the code, so there are only so many


def trace_of(error: BaseException) -> str:
    """The innermost frames of the traceback, without the error's text, which may be long and contain anything."""
    return "".join(traceback.format_tb(error.__traceback__))[-_MOST_TRACE:]


def logged(uri: str, stage: str, kind: str, text: str, trace: str) -> str:
    """The message for an image's failure after an exception of that kind (its class), text and traceback.

    The traceback is logged, once in a process for each kind and place, because a million images may cause the same
    error.
    """
    message = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in f"{kind}: {text}"[:_MOST_MESSAGE])
    name = uri.partition("?")[0][:_MOST_MESSAGE]  # behind it a signature may stand
    key = (stage, kind, *(_PLACE.findall(trace) or [()])[-1])
    if key not in _logged:
        _logged.add(key)
        logging.error(
            "%s/%s for %a, a bug in this program, please report it: %s\n%s", stage, CODE, name, message, trace
        )
    return message
