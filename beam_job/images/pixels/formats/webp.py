"""WebP: its size is read from the header before libwebp allocates two canvases."""

from __future__ import annotations

import io

from PIL import WebPImagePlugin

from beam_job.images.pixels import exif
from beam_job.images.pixels.picture import Picture, ReadOptions, check_size, reading

_BYTES_PER_PIXEL = 18


def read(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a WebP; if it is animated, its first picture. A truncated file cannot be decoded in part.

    Raises:
      ImageError: `corrupt`, `truncated` or `too_many_pixels`.
    """
    cut = len(data) < 8 + int.from_bytes(data[4:8], "little")
    width, height = _size(data)
    check_size(width, height, options, _BYTES_PER_PIXEL)
    with reading("WebP", cut):
        image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
        image.load()
    return Picture(image, *image.size, exif.orientation(image.info.get("exif", b"")), image.info.get("icc_profile"))


def _size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
