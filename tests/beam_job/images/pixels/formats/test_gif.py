"""GIF: where the first picture stands on its canvas, and what may stand before it."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from beam_job.images.pixels import ImageError, decode
from beam_job.images.pixels.formats import gif

RED, WHITE = (255, 0, 0), (255, 255, 255)
PICTURE = b"\x2c\x00\x00\x00\x00"  # its mark, and where it stands


def red(size=(2, 3)):
    file = io.BytesIO()
    Image.new("RGB", size, RED).save(file, "GIF")
    return file.getvalue()


def on_canvas(canvas, place, data=None):
    """A GIF whose picture stands somewhere on a canvas of another size."""
    data = red() if data is None else data
    moved = data.replace(PICTURE, struct.pack("<BHH", 0x2C, *place), 1)
    return moved[:6] + struct.pack("<HH", *canvas) + moved[10:]


def before_picture(data, extension):
    at = data.index(PICTURE)
    return data[:at] + extension + data[at:]


NINE = on_canvas((9, 9), (0, 0))


@pytest.mark.parametrize(("canvas", "place"), [((8, 9), (3, 4)), ((8, 9), (0, 0)), ((8, 9), (6, 6)), ((2, 4), (0, 1))])
def test_what_the_picture_leaves_free_is_white(canvas, place):
    (left, top), (width, height) = place, canvas
    found = decode(on_canvas(canvas, place), height, width)
    expected = np.full((height, width, 3), 255, np.uint8)
    expected[top : top + 3, left : left + 2] = RED
    assert (found.width, found.height) == canvas
    assert (found.array == expected).all()


def test_a_canvas_grows_to_its_picture():
    found = decode(on_canvas((1, 1), (4, 5)), 8, 6)
    assert (found.width, found.height) == (6, 8)
    assert (found.array[7, 5] == RED).all()
    assert (found.array[4, 5] == WHITE).all()


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (on_canvas((1, 1), (65_535, 0)), "corrupt", "The GIF's picture lies outside its canvas."),
        (
            on_canvas((9, 9), (0, 0)).replace(b"\x02\0\x03\0", b"\0\0\x03\0"),
            "corrupt",
            "The GIF's picture has no size.",
        ),
        (
            on_canvas((9, 9), (0, 0)).replace(b"\x02\0\x03\0", b"\x02\0\0\0"),
            "corrupt",
            "The GIF's picture has no size.",
        ),
        (red()[: red().index(PICTURE)] + b"\x3b", "corrupt", "The GIF contains no picture."),
        (red()[: red().index(PICTURE)], "truncated", "The GIF ends before its picture begins."),
        (red()[:8], "truncated", "The GIF ends before its picture begins."),
    ],
)
def test_pictures_that_are_none(data, code, message):
    with pytest.raises(ImageError) as caught:
        decode(data, 9, 9)
    assert (caught.value.code, str(caught.value)) == (code, message)


def test_comments_have_a_limit(monkeypatch):
    comment = b"\x21\xfe\x01x\x02xy\x00"  # three blocks, that of its mark included
    monkeypatch.setattr(gif, "_MAX_BLOCKS", 6)
    before = len(red()[: red().index(PICTURE)])
    blocks = 3 if red()[before - 8 : before - 6] == b"\x21\xf9" else 0
    monkeypatch.setattr(gif, "_MAX_BLOCKS", blocks + 6)
    assert (decode(before_picture(red(), comment * 2), 3, 2).array == RED).all()
    for more in (comment * 3, comment * 2 + b"\x21\xfe\x00"):
        with pytest.raises(ImageError, match=f"The GIF has over {blocks + 6} blocks of comments before its picture"):
            decode(before_picture(red(), more), 3, 2)


def test_transparency_is_kept_and_other_extensions_are_not():
    data = red()
    index = Image.open(io.BytesIO(data)).getpixel((0, 0))
    control = b"\x21\xf9\x04\x01\x00\x00" + bytes([index]) + b"\x00"
    assert (decode(before_picture(data, control), 3, 2).array == 255).all()
    assert (decode(before_picture(data, control.replace(b"\x04\x01", b"\x04\x00")), 3, 2).array == RED).all()
    assert (decode(before_picture(data, b"\x21\xff" + control[2:]), 3, 2).array == RED).all()


def test_a_gif_that_ends_anywhere_before_its_last_pixels_is_truncated():
    data = red((64, 48))
    for length in range(6, len(data) - 8):
        with pytest.raises(ImageError, match=r"^The GIF ends before its picture (begins|is complete)\.$") as caught:
            decode(data[:length], 8, 8)
        assert caught.value.code == "truncated"
