"""Brings a picture to the model's size: resized, turned upright, in sRGB, over white."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from beam_job.images.pixels import profiles
from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Picture

RESIZE = "stretch-bilinear"
"""The one way images are brought to the model's size, as the model's manifest names it: aspect ratio not kept,
bilinear, antialiased when the image shrinks."""

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


def resize(picture: Picture, height: int, width: int) -> Pixels:
    """Resizes, turns, and brings to sRGB on white, in this order: the small picture is the cheaper one.

    Args:
      height, width: of the result in pixels.

    Raises:
      ImageError: `truncated`, if the file ends too early and no part of its picture is left.
    """
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
