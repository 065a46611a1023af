"""JPEG 2000: samples of few bits and of many."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from beam_job.images.pixels import ImageError, decode
from tests import images

LEVELS = np.add.outer(np.arange(36), np.arange(40)).astype(np.uint8)


def codestream(mode: str, bits: int, samples: int, levels: npt.NDArray[np.uint8] = LEVELS) -> bytes:
    """Levels as samples of so many bits: their distance from the middle is what is written, whatever the depth."""
    values = (levels.astype(int) % (1 << bits) + 128 - (1 << bits - 1)).astype(np.uint8)
    data = bytearray(images.encode(Image.fromarray(values).convert(mode), "JPEG2000", no_jp2=True))
    data[42 : 42 + 3 * samples : 3] = bytes([bits - 1]) * samples
    return bytes(data)


@pytest.mark.parametrize(("mode", "samples"), [("L", 1), ("RGB", 3)])
@pytest.mark.parametrize("bits", [1, 2, 4, 7])
def test_samples_of_few_bits_reach_from_black_to_white(mode: str, samples: int, bits: int) -> None:
    top = (1 << bits) - 1
    expected = (LEVELS % (top + 1)).astype(int) * 255 // top
    found = decode(codestream(mode, bits, samples), 36, 40).array
    np.testing.assert_array_equal(found, np.repeat(expected[..., np.newaxis], 3, axis=-1))


def test_samples_of_many_bits_are_read_in_grey_and_refused_in_colours() -> None:
    grey = images.encode(Image.fromarray(LEVELS.astype(np.uint16) * 800), "JPEG2000")
    np.testing.assert_array_equal(decode(grey, 36, 40).array[..., 0], LEVELS.astype(np.uint16) * 800 >> 8)
    for bits in (9, 12, 16):
        data = bytearray(images.encode(images.photo(64, 48), "JPEG2000", no_jp2=True))
        data[42:51:3] = bytes([bits - 1]) * 3
        with pytest.raises(ImageError, match=f"{bits} bits in colours") as refused:
            decode(bytes(data), 8, 8)
        assert refused.value.code == "unsupported_format"


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_palette(bits: int) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 200, 99)]

    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), name) + content

    header = box(b"ihdr", struct.pack(">IIHBBBB", 36, 40, 1, bits - 1, 7, 0, 0)) + box(b"colr", b"\1\0\0\0\0\0\x10")
    palette = box(b"pclr", struct.pack(">HB", 4, 3) + b"\7\7\7" + bytes(sum(colours, ())))
    channels = box(b"cmap", b"".join(struct.pack(">HBB", 0, 1, channel) for channel in range(3)))
    front = b"\0\0\0\x0cjP  \r\n\x87\n" + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    indices = LEVELS % 4
    data = front + box(b"jp2h", header + palette + channels) + box(b"jp2c", codestream("L", bits, 1, indices))
    np.testing.assert_array_equal(decode(data, 36, 40).array, np.array(colours, np.uint8)[indices])


def test_a_picture_whose_box_gives_its_size_in_eight_bytes() -> None:
    data = images.encode(images.picture(), "JPEG2000")
    start = data.index(b"jp2c") - 4
    content = data[start + 8 :]
    long = data[:start] + struct.pack(">I4sQ", 1, b"jp2c", 16 + len(content)) + content
    np.testing.assert_array_equal(decode(long, 36, 40).array, decode(data, 36, 40).array)


def test_samples_of_several_kinds_are_refused() -> None:
    data = bytearray(images.encode(images.photo(64, 48), "JPEG2000", no_jp2=True))
    data[45] = 3
    with pytest.raises(ImageError, match="mixed sample types") as refused:
        decode(bytes(data), 8, 8)
    assert refused.value.code == "unsupported_format"
