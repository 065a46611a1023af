"""Decompresses a gzip body while it arrives, in bounded memory."""

import io
import zlib

_STEP = 1 << 20  # bytes unpacked at a time
_MOST_MEMBERS = 10_000  # each costs time, and may hold nothing


class TooManyBytesError(ValueError):
    """The content exceeds the limit."""


class Gunzip:
    """The content of a gzip body, of which one copy is kept. A body may have several members.

    Args:
      max_bytes: maximum size of the content.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._content = io.BytesIO()
        self._member = zlib.decompressobj(wbits=31)
        self._members = 1

    def write(self, piece: bytes) -> None:
        """Takes the next bytes of the body; raises ``zlib.error`` if they are not gzip, and ``TooManyBytesError``."""
        while piece:
            if self._member.eof:
                self._next_member()
            self._content.write(self._member.decompress(piece, _STEP))
            if self._content.tell() > self._max_bytes:
                raise TooManyBytesError
            piece = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def getvalue(self) -> bytes:
        """Returns the content; raises ``zlib.error`` if the body ended too early."""
        if not self._member.eof:
            raise zlib.error("the body ends too early")
        return self._content.getvalue()

    def _next_member(self) -> None:
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise zlib.error("too many members")
        self._member = zlib.decompressobj(wbits=31)
