"""Decompresses files piece by piece, and detects truncation and damage, which Beam's own reader ignores.

for piece in unpacked(iter(lambda: file.read(65536), b""), CompressionTypes.GZIP):
    ...  # bytes, at most a few megabytes
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import zstandard
from apache_beam.io.filesystem import CompressionTypes

_PIECE_BYTES = 1 << 20
_MEMORY = 256 << 20  # bytes that a decoder may take: enough for `xz -9` and for what `zstd -d` unpacks by itself
_ZSTD_INPUT = 64  # bytes: 4 bytes can unpack to 128 KiB


class DamagedError(ValueError):
    """A compressed file that ends too early or cannot be decompressed; the message completes "it ..."."""


class _Decoder(Protocol):
    """Unpacks one member (stream, frame) of a compressed file; bz2's and lzma's own decompressors are such."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflate:
    def __init__(self, window_bits: int) -> None:
        self._zlib = zlib.decompressobj(window_bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail  # output that waits comes with the next: a checksum is last
        return piece


class _Zstandard:
    """``zstandard`` cannot bound its output, so that its input is bounded here."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()
        self._waiting = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._zstd.eof

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return self._zstd.unused_data + self._waiting

    def decompress(self, data: bytes, max_length: int) -> bytes:
        waiting = memoryview(data) if data else self._waiting
        self._waiting = waiting[_ZSTD_INPUT:]
        return self._zstd.decompress(waiting[:_ZSTD_INPUT])


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    CompressionTypes.GZIP: lambda: _Inflate(zlib.MAX_WBITS | 16),
    CompressionTypes.DEFLATE: lambda: _Inflate(zlib.MAX_WBITS),
    CompressionTypes.BZIP2: bz2.BZ2Decompressor,
    CompressionTypes.LZMA: lambda: lzma.LZMADecompressor(memlimit=_MEMORY),
    CompressionTypes.ZSTD: _Zstandard,
}


def unpacked(chunks: Iterable[bytes], compression: str) -> Iterator[bytes]:
    """Decompresses all members of a file in turn; zeros after a member are padding, as in gzip.

    Args:
      chunks: the file's bytes.
      compression: one of Beam's ``CompressionTypes``.

    Raises:
      DamagedError: the file ends within a member, has no member, or contains something else.
    """
    decoder: _Decoder | None = None
    members = 0
    for chunk in chunks:
        rest = chunk
        while rest:
            if decoder is None:
                rest = rest.lstrip(b"\0") if members else rest
                if not rest:
                    break
                decoder = _DECODERS[compression]()
                members += 1
            try:
                yield decoder.decompress(rest, _PIECE_BYTES)
                while not decoder.eof and not decoder.needs_input:
                    yield decoder.decompress(b"", _PIECE_BYTES)
            except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError) as error:
                raise DamagedError(f"is damaged, or not in the format that its name says ({error})") from error
            rest, decoder = (decoder.unused_data, None) if decoder.eof else (b"", decoder)
    if decoder is not None or not members:
        raise DamagedError("ends too early: a part of it is missing")
