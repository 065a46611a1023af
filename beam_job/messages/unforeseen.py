"""Unexpected errors, which are bugs: each costs only its image, and is logged and reported."""

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
    """Where it came up, the innermost frames; its text, which may be long and say anything, is no part of it."""
    return "".join(traceback.format_tb(error.__traceback__))[-_MOST_TRACE:]


def logged(uri: str, stage: str, kind: str, text: str, trace: str) -> str:
    """The message of an image's failure, for an exception of that kind (its class), text and traceback.

    The traceback is logged, once in a process for each kind and place: a million images may meet the same fault.
    """
    message = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in f"{kind}: {text}"[:_MOST_MESSAGE])
    name = uri.partition("?")[0][:_MOST_MESSAGE]  # behind it a signature may stand
    key = (stage, kind, *(_PLACE.findall(trace) or [()])[-1])
    if key not in _logged:
        _logged.add(key)
        logging.error("%s/%s for %a, a fault of ours, please report it: %s\n%s", stage, CODE, name, message, trace)
    return message
