"""Why an image file gives no pixels: the codes, and the exception that carries one."""

from __future__ import annotations

import re

ERRORS = {
    "empty": "The file is empty.",
    "not_an_image": "The file is not an image; the message says what its first bytes suggest.",
    "unsupported_format": "The image has a format or a variant that is not supported (HEIC: install pillow-heif).",
    "too_many_pixels": "Width x height exceeds the limit.",
    "out_of_memory": "Decoding needs more memory than --decode_memory, or than the machine has.",
    "truncated": "The file ends before the image is complete.",
    "corrupt": "The image is damaged.",
}
"""Every code that an `ImageError` can have, and what it means."""

_QUOTED = re.compile(r"""b?(['"]).*\1""", re.DOTALL)
_LONGEST = 100  # characters of a library's text


class ImageError(ValueError):
    """An image that cannot be turned into pixels. `code` is a key of `ERRORS`; the text is one sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


def described(error: Exception) -> str:
    """A library's exception for a message: truncated, printable ASCII, without quotations from the file."""
    text = _QUOTED.sub("...", str(error)[: 10 * _LONGEST])
    text = "".join(character if " " <= character <= "~" else " " for character in text)
    return " ".join(text.split())[:_LONGEST] or type(error).__name__
