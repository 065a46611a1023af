"""Turns an image file's bytes into pixels of the model's size, for training and for captioning.

    pixels = decode(data, height=224, width=224)
    pixels.array                  # uint8 [224, 224, 3]
    pixels.width, pixels.height   # of the source, upright

The format is determined by the content, not by the name. Whatever the file contains, the result is `Pixels` or an
`ImageError` with one of the codes in `ERRORS`. All functions may be called from many threads at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from beam_job.images.pixels import file_format, profiles
from beam_job.images.pixels.formats import bmp, gif, heif, jpeg, jpeg2000, png, webp
from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Picture, ReadOptions
from beam_job.images.pixels.tiff import samples as tiff

RESIZE = "stretch-bilinear"
"""The one way images are brought to the model's size, as the model's manifest names it: aspect ratio not kept,
bilinear, antialiased when the image shrinks."""

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
_UPRIGHT = {  # EXIF orientation -> what turns the picture upright; from 5 on, width and height change places
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Pixels(NamedTuple):
    """A decoded image."""

    array: npt.NDArray[np.uint8]  # uint8 [height of the model, width of the model, 3], RGB; may be read-only
    width: int  # of the source in pixels, after its EXIF orientation is applied
    height: int


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
        return _small(_READERS[name](data, options), height, width)
    except MemoryError as error:
        raise ImageError("out_of_memory", f"The {name} does not fit into memory.") from error


def _small(picture: Picture, height: int, width: int) -> Pixels:
    """Resizes, turns, and brings to sRGB on white, in this order: the small picture is the cheaper one."""
    sideways = picture.orientation >= 5
    size = (height, width) if sideways else (width, height)
    plain = _plain(picture.image, keep_colours=picture.profile is not None)
    small = plain.resize(size, Image.Resampling.BILINEAR, picture.box)
    if picture.orientation in _UPRIGHT:
        small = small.transpose(_UPRIGHT[picture.orientation])
    if picture.profile is not None:
        small = _in_srgb(small, picture.profile, grey=picture.image.mode in ("1", "L", "LA"))
    array = _over_white(small)
    if not picture.whole and not np.ptp(array, axis=(0, 1)).any():
        raise ImageError("truncated", "The file ends too early: no part of its picture can be decoded.")
    source = picture.width, picture.height
    return Pixels(array, *(reversed(source) if sideways else source))


def _in_srgb(small: Image.Image, profile: bytes, grey: bool) -> Image.Image:
    """Applies a profile to L, RGB, CMYK or RGBa; the last one's transparency stays, and its colours may be `grey`."""
    if small.mode != "RGBa":
        return profiles.to_srgb(small, profile)
    straight = small.convert("RGBA")
    alpha = straight.getchannel("A")
    colours = profiles.to_srgb(straight.getchannel("R") if grey else straight.convert("RGB"), profile).convert("RGB")
    colours.putalpha(alpha)
    return colours.convert("RGBa")


def _plain(image: Image.Image, keep_colours: bool) -> Image.Image:
    """Brings a loaded image to a mode that resizes well: L, RGB, or RGBa where something may be transparent.

    RGBa is premultiplied: resizing mixes no colour of invisible pixels in.

    Args:
      keep_colours: leave CMYK as it is, for its profile.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "RGBa" or (image.mode == "CMYK" and keep_colours):
        return image
    if not image.has_transparency_data:
        return _as(image, "L" if image.mode in ("1", "L") else "RGB")
    return _as(image, "RGBA").convert("RGBa")


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # convert alone would copy


def _over_white(image: Image.Image) -> npt.NDArray[np.uint8]:
    """L, RGB, CMYK or RGBa to uint8 [height, width, 3]."""
    if image.mode != "RGBa":
        return np.asarray(_as(image, "RGB"))
    samples = np.asarray(image).astype(np.uint16)
    laid: npt.NDArray[np.uint16] = np.minimum(samples[..., :3] + (255 - samples[..., 3:]), 255)
    return laid.astype(np.uint8)
