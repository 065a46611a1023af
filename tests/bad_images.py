"""Files of which each fails in a way of its own, small ones that ask for much among them; and how each has to fail."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from tests import images, tiffs

_UNREAD, _MANY = "unsupported_format", "too_many_pixels"


def bad_images() -> dict[str, tuple[bytes, str]]:
    """Contents and codes, by name."""
    photo = images.photo(64, 48)
    samples = np.asarray(photo)
    return {
        "empty": (b"", "empty"),
        "lines.bmp": (_bitmap(65_000, 2300, b"\0\0" * 4600), "corrupt"),
        "cut.bmp": (images.encode(photo, "BMP")[:500], "truncated"),
        "runs.bmp": (_bitmap(64, 48, b"\x40\1\0\0" * 30), "truncated"),
        "comments.gif": (images.encode(photo, "GIF")[:13] + b"\x21\xfe" + b"\1c" * 5_000_000 + b"\0", "corrupt"),
        "large.j2k": (_large_jpeg_2000(photo), _MANY),
        "large.webp": (_large_webp(photo), _MANY),
        "tiles.tif": (
            tiffs.tiff(samples[..., :1], 1, tile=(16, 16), more={322: (4, [26_000]), 323: (4, [26_000])}),
            _MANY,
        ),
        "strips.tif": (tiffs.tiff(samples[..., :1], 1, more={257: (4, [1_000_000]), 278: (4, [1])}), "corrupt"),
        "floats.tif": (tiffs.tiff((samples / 255).astype("f4"), 2), _UNREAD),
        "ycbcr.tif": (tiffs.tiff(samples, 6), _UNREAD),
        "camera.nef": (tiffs.tiff(samples, 2, more={254: (4, [1]), 50706: b"\1\4\0\0"}), _UNREAD),
        "olympus.orf": (b"IIRO\x08\0\0\0" + bytes(5000), _UNREAD),
        "a.ppm": (images.encode(photo, "PPM"), _UNREAD),
        "a.svg": (b"<?xml version='1.0'?><!-- a -->\n<svg xmlns='http://www.w3.org/2000/svg'/>", _UNREAD),
        "doctype.svg": (b"<!DOCTYPE svg" + b" " * 65_000, "not_an_image"),
        "page.jpg": (b"<!DOCTYPE html><title>Sign in</title>", "not_an_image"),
        "half.jpg": (images.encode(photo, "JPEG")[:-400], "truncated"),
        "chunks.png": (_png_with(photo, b"\0\0\0\0tEXt\xb5\x1e\x7f\xcc" * 200_000), "corrupt"),
        "bytes.png": (images.encode(photo, "PNG")[:-200] + bytes(200), "corrupt"),
    }


def _bitmap(width: int, height: int, runs: bytes) -> bytes:
    """With run lengths and a grey palette."""
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(runs), 0, 0, 1078) + header + palette + runs


def _large_jpeg_2000(photo: Image.Image) -> bytes:
    data = bytearray(images.encode(photo, "JPEG2000", no_jp2=True))
    data[8:16] = struct.pack(">II", 12_240, 12_240)
    return bytes(data)


def _large_webp(photo: Image.Image) -> bytes:
    data = bytearray(images.encode(photo, "WEBP", lossless=True))
    data[21:25] = ((16382 << 14) | 16382).to_bytes(4, "little")
    return bytes(data)


def _png_with(photo: Image.Image, chunks: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    data = images.encode(photo, "PNG")
    return data[:33] + chunks + data[33:]
