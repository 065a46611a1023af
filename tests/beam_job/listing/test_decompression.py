"""Compressed files: whole ones are unpacked, and nothing else passes for whole."""

import bz2
import gzip
import lzma
import random
import zlib
from contextlib import suppress

import pytest
import zstandard
from apache_beam.io.filesystem import CompressionTypes

from beam_job.listing import decompression
from beam_job.listing.decompression import DamagedError, unpacked

PACKERS = {
    CompressionTypes.GZIP: gzip.compress,
    CompressionTypes.DEFLATE: zlib.compress,
    CompressionTypes.BZIP2: bz2.compress,
    CompressionTypes.LZMA: lzma.compress,
    CompressionTypes.ZSTD: lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}
DATA = b"".join(b"photos/%d.jpg\n" % (number * 7919) for number in range(300))
every_kind = pytest.mark.parametrize("kind", PACKERS)


def unpack(data, kind, chunk=1000):
    return b"".join(unpacked((data[at : at + chunk] for at in range(0, len(data), chunk)), kind))


@every_kind
@pytest.mark.parametrize("chunk", [1, 7, 1000, 1 << 20])
def test_several_members_and_padding(kind, chunk):
    pack = PACKERS[kind]
    assert unpack(pack(DATA), kind, chunk) == DATA
    assert unpack(pack(DATA) + pack(b"") + pack(b"more") + bytes(1000), kind, chunk) == DATA + b"more"


@every_kind
def test_a_file_that_ends_too_early(kind):
    packed = PACKERS[kind](DATA)
    for end in range(len(packed)):
        with pytest.raises(DamagedError, match="ends too early"):
            unpack(packed[:end], kind)
    with pytest.raises(DamagedError, match="ends too early"):
        unpack(packed + packed[:-1], kind)


@every_kind
def test_something_else_behind_a_member_or_instead_of_one(kind):
    for data in (PACKERS[kind](DATA) + b"a.jpg\n", b"a.jpg\nb.jpg\n" * 9, PACKERS[kind](DATA) + b"\0\0a.jpg\n" * 9):
        with pytest.raises(DamagedError, match="is damaged, or not in the format"):
            unpack(data, kind)


@every_kind
def test_damage_is_noticed(kind):
    packed = PACKERS[kind](DATA)
    dice = random.Random(kind)
    for _ in range(300):
        damaged = bytearray(packed)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        with suppress(DamagedError):
            assert unpack(bytes(damaged), kind) == DATA  # a bit of the time or the name in gzip's header


@every_kind
def test_pieces_are_small_whatever_a_file_unpacks_to(kind):
    packed = PACKERS[kind](bytes(32 << 20))
    sizes = [len(piece) for piece in unpacked([packed], kind)]
    assert sum(sizes) == 32 << 20
    assert max(sizes) <= 2 << 20


@every_kind
@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_no_byte_is_lost_between_pieces(kind, chunk, monkeypatch):
    monkeypatch.setattr(decompression, "_PIECE_BYTES", 5)
    for data in (bytes(3000), DATA + bytes(257)):
        packed = PACKERS[kind](data)
        assert unpack(packed, kind, chunk) == data
        with pytest.raises(DamagedError, match="ends too early"):
            unpack(packed[:-1], kind, chunk)


def test_a_file_that_asks_for_much_memory_is_refused():
    hungry = bytearray(lzma.compress(b"a", lzma.FORMAT_ALONE))
    assert unpack(bytes(hungry), CompressionTypes.LZMA) == b"a"
    hungry[1:5] = (1 << 30).to_bytes(4, "little")  # the dictionary's size: packing with one so large takes 10 GB
    with pytest.raises(DamagedError, match="is damaged, or not in the format"):
        unpack(bytes(hungry), CompressionTypes.LZMA)
