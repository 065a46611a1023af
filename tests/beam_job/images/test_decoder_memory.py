"""The memory that decoding takes, by format: the table in the page on durability holds, and does not exaggerate."""

import base64
import io
import re
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from beam_job.images.decoders import Decoders
from beam_job.images.pixels import ImageError
from tests.images import bmp_with_alpha, encode
from tests.tiffs import DEFLATE, tiff

DURABILITY = Path(__file__).parents[3] / "docs" / "durability.md"
WIDTH, HEIGHT = 1500, 1000
LEAST = 0.75  # of the figure: with less memory than that, some picture of the format is not decoded
ASIDE = 2 << 20  # bytes, however small a picture is
ASIDE_OF_HEIC = 12 << 20  # its threads have memory of their own

# In one colour, with alpha, of 12 bits a sample, 4:4:4, in the size above: Pillow cannot write it. Made by
# imagecodecs.avif_encode(pixels, level=30, speed=6, bitspersample=12, pixelformat="444").
DEEP_AVIF = """
AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAYZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAA5waXRtAAAA
AAABAAAALGlsb2MAAAAARAAAAgABAAAAAQAAAkAAAABeAAIAAAABAAABqgAAAJYAAABCaWluZgAAAAAAAgAAABppbmZlAgAAAAABAABhdjAxQ29s
b3IAAAAAGmluZmUCAAAAAAIAAGF2MDFBbHBoYQAAAAAaaXJlZgAAAAAAAAAOYXV4bAACAAEAAQAAAMNpcHJwAAAAnWlwY28AAAAUaXNwZQAAAAAA
AAXcAAAD6AAAABBwaXhpAAAAAAMMDAwAAAAMYXYxQ4FIYAAAAAATY29scm5jbHgAAgACAAaAAAAADnBpeGkAAAAAAQwAAAAMYXYxQ4FIfAAAAAA4
YXV4QwAAAAB1cm46bXBlZzptcGVnQjpjaWNwOnN5c3RlbXM6YXV4aWxpYXJ5OmFscGhhAAAAAB5pcG1hAAAAAAAAAAIAAQQBAoMEAAIEAQWGBwAA
APxtZGF0EgAKB1oqbt/Px1AyiAEQAAD0uZLTvJ8rn7x1OnmtTy9wrVvivthuqOBuVSy+DejOtrTaqHJSvXuJRwA6uwTrvFgBBiQYUU0LcHskpqXy
lmuo5/x4ljQhEb+kTUrVky7/7FA4cXe5cihERZO0gUSX5dYjNnN1ceG3m0Acy2WKwLUWtNKpGmskHjtPCAMMWeR9qKPNjLvIEgAKCloqbt/O1oEB
A0QyThMQmLk6+++8WKgAz8opx5RLzCh/aVXdTGd1dcl2Tv9kpy4i/aPJLfEIAs9aeoaPUnkMTp/7r4cP+IJmF/6ePUQLvWtKmhXUSgxSqioWoA==
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory")


def table():
    """Bytes a pixel, by format."""
    section = DURABILITY.read_text().split("\n## Memory\n")[1].split("\n## ")[0]
    return {name: float(figure) for name, figure in re.findall(r"^\| ([A-Z][\w ]+) \| ([\d.]+) \|", section, re.M)}


def pictures():
    """Pictures in the modes that take most, by format."""
    pillow_heif.register_heif_opener()
    grey = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    colour = Image.merge("RGB", [grey, grey.point(lambda value: 255 - value), grey])
    clear = colour.copy()
    clear.putalpha(grey)
    ink = colour.convert("CMYK")
    palette = colour.quantize(64)
    floats = Image.fromarray(np.asarray(grey).astype(np.float32))
    fast = {"speed": 10}
    return {
        "JPEG": [
            encode(colour, "JPEG"),
            encode(colour, "JPEG", progressive=True, subsampling="4:4:4"),
            encode(ink, "JPEG", progressive=True, subsampling="4:4:4"),
        ],
        "PNG": [
            encode(clear.convert("LA"), "PNG"),
            encode(clear, "PNG"),
            encode(colour, "PNG", transparency=(1, 2, 3)),
            encode(palette, "PNG", transparency=bytes(range(64))),
        ],
        "WebP": [
            encode(clear, "WEBP", method=0),
            encode(colour, "WEBP", lossless=True, method=0, quality=0),
            encode(colour, "WEBP", save_all=True, append_images=[clear], method=0, quality=0),
        ],
        "GIF": [encode(palette, "GIF"), encode(palette, "GIF", transparency=3)],
        "BMP": [encode(colour, "BMP"), encode(clear, "BMP"), encode(palette, "BMP"), bmp_with_alpha(clear)],
        "TIFF": [
            encode(floats, "TIFF"),
            encode(ink, "TIFF", compression="tiff_lzw"),
            encode(clear, "TIFF", compression="tiff_lzw", strip_size=1 << 30),
            encode(colour.convert("LAB"), "TIFF"),
            tiff(deep_samples(), 2, compression=DEFLATE, extra=[2]),
        ],
        "JPEG 2000": [encode(colour, "JPEG2000"), encode(clear, "JPEG2000"), encode(grey, "JPEG2000")],
        "AVIF": [
            encode(clear, "AVIF", **fast),
            encode(colour, "AVIF", subsampling="4:4:4", **fast),
            base64.b64decode(DEEP_AVIF),
        ],
        "HEIC": [encode(clear, "HEIF", quality=10), deep_heic()],
    }


def deep_samples():
    """RGB with alpha, 16 bits a sample."""
    return np.broadcast_to(np.linspace(0, 65535, WIDTH).astype(np.uint16)[:, np.newaxis], (HEIGHT, WIDTH, 4))


def deep_heic():
    """With alpha, of 12 bits a sample."""
    samples = deep_samples()
    file = io.BytesIO()
    with mock.patch.object(pillow_heif.options, "SAVE_HDR_TO_12_BIT", True):
        made = pillow_heif.from_bytes(mode="RGBA;16", size=(WIDTH, HEIGHT), data=samples.tobytes())
        made.save(file, quality=10, chroma=444)
    return file.getvalue()


def test_the_table_of_memory():
    figures, files = table(), pictures()
    assert set(figures) == set(files)
    decoders = Decoders(1)

    def outcome(data, memory):
        with decoders.turn() as decoder:
            decoder.end()  # what one picture leaves in a process is there for the next
            try:
                decoder.decode(
                    data,
                    224,
                    224,
                    max_pixels=10 * WIDTH * HEIGHT,
                    accept_truncated=False,
                    seconds=600,
                    memory=int(memory),
                )
            except ImageError as error:
                return error.code
        return "fine"

    for name, figure in figures.items():
        most = figure * WIDTH * HEIGHT
        aside = ASIDE_OF_HEIC if name == "HEIC" else ASIDE
        assert {outcome(data, most + aside) for data in files[name]} == {"fine"}, name
        assert {outcome(data, LEAST * most) for data in files[name]} - {"fine"} == {"out_of_memory"}, name
    with decoders.turn() as decoder:
        decoder.end()
