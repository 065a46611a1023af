"""Turns an image file's bytes into pixels of the model's size, for training and for captioning.

    pixels = decode(data, height=224, width=224)
    pixels.array                  # uint8 [224, 224, 3]
    pixels.width, pixels.height   # of the source, upright

The format is determined by the content, not by the name. Whatever the file contains, the result is `Pixels` or an
`ImageError` with one of the codes in `ERRORS`. All functions may be called from many threads at once.
"""

from __future__ import annotations

from collections.abc import Callable

from beam_job.images.pixels import file_format
from beam_job.images.pixels.formats import bmp, gif, heif, jpeg, jpeg2000, png, webp
from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Picture, ReadOptions
from beam_job.images.pixels.resize import Pixels, resize
from beam_job.images.pixels.tiff import samples as tiff

MIN_SCALE = 1.25
"""Large JPEGs are decoded at a reduced scale, but at no less than so many times the model's size."""

MAX_PIXELS = 150_000_000
"""Default limit on width x height. It is meant for formats that take at most 12 bytes per pixel while they are decoded,
1.8 GB for the largest image that passes, and is lower in proportion for those that take more."""

_READERS: dict[str, Callable[[bytes, ReadOptions], Picture]] = {
    file_format.JPEG: jpeg.read,
    file_format.PNG: png.read,
    file_format.GIF: gif.read,
    file_format.BMP: bmp.read,
    file_format.TIFF: tiff.read,
    file_format.WEBP: webp.read,
    file_format.JPEG2000: jpeg2000.read,
    file_format.AVIF: heif.read_avif,
    file_format.HEIF: heif.read_heic,
}


def decode(
    data: bytes,
    height: int,
    width: int,
    *,
    max_pixels: int = MAX_PIXELS,
    accept_truncated: bool = False,
) -> Pixels:
    """Decodes an image file and resizes it to `height` x `width`.

    EXIF orientation is applied, colour profiles are applied (to sRGB), and transparency is laid over white. Of an
    animated file the first frame is taken, of a TIFF the first page that is no smaller copy of another one. 16-bit
    samples keep their high byte; grey images of wider or floating-point samples are scaled by their range. Large JPEGs
    are decoded at a half, a quarter or an eighth, and never below `MIN_SCALE` times the wanted size.

    Args:
      data: the whole file. JPEG, PNG, WebP, GIF, BMP, TIFF, JPEG 2000, AVIF; HEIC if pillow-heif is installed.
      height, width: of the result in pixels.
      max_pixels: larger images are refused from their header, before anything is decoded. Formats that need more than
        12 bytes of memory per pixel have a lower limit.
      accept_truncated: use the existing part of a JPEG, PNG, GIF, BMP or TIFF that ends too early (the rest is grey or
        black), unless no part of the picture is left. Other formats cannot be decoded without their last byte.

    Raises:
      ImageError: the file gives no pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1, got {height} x {width}")
    options = ReadOptions(max_pixels, accept_truncated, int(MIN_SCALE * max(height, width)))
    name = file_format.format_of(data)
    try:
        return resize(_READERS[name](data, options), height, width)
    except MemoryError as error:
        raise ImageError("out_of_memory", f"The {name} does not fit into memory.") from error
