"""The bar of a progress line."""

from typing import TextIO

CLEAR = "\r\x1b[K"
"""Goes back to the start of a terminal's line and empties it."""

_WIDTH = 24


def bar(done: int, total: int, characters: str = "━·") -> str:
    """The share that is done, in ``characters`` for what is done and what is left, and a space."""
    filled = min(_WIDTH * done // total, _WIDTH)
    return characters[0] * filled + characters[1] * (_WIDTH - filled) + " "


def bar_characters(stream: TextIO) -> str:
    """Characters that the stream's encoding has."""
    try:
        "━·".encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return "#."
    return "━·"
