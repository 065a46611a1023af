"""A picture between the image file and the pixels, the options for reading one, and loading with Pillow."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from PIL import Image, ImageFile

from beam_job.images.pixels.image_error import ImageError, described

ORDINARY_BYTES = 12
"""Bytes of memory that a pixel takes while most formats are decoded; `ReadOptions.max_pixels` is meant for these."""

_BLOCK = 65536  # bytes that a decoder gets at a time; of a damaged JPEG more of the picture comes out than of one block
_OUT_OF_MEMORY = -9  # as Pillow's decoders number it


class ReadOptions(NamedTuple):
    """The options for reading a file."""

    max_pixels: int
    accept_truncated: bool = False  # take what there is of a picture that ends too early
    min_side: int = 1  # pixels; a reader may reduce the picture as long as no side gets shorter than this


class Picture(NamedTuple):
    """A picture that was read, but not yet rotated, resized or converted to sRGB."""

    image: Image.Image  # loaded; mode 1, L, LA, P, PA, RGB, RGBA, RGBa, CMYK or LAB
    width: int  # of the source in pixels, as stored
    height: int
    orientation: int = 1  # as EXIF numbers it
    profile: bytes | None = None  # ICC
    box: tuple[float, float, float, float] | None = None  # the part of `image` that is the picture
    whole: bool = True  # False where the file ends too early, and that was accepted


class Ending(enum.Enum):
    """How decoding ended."""

    WHOLE = enum.auto()
    CUT = enum.auto()  # the decoder was left waiting for more bytes
    BROKEN = enum.auto()  # the decoder gave up


def check_size(width: int, height: int, options: ReadOptions, bytes_per_pixel: int = ORDINARY_BYTES) -> None:
    """Refuses an empty picture, or one with more pixels than the limit, from its header.

    Args:
      bytes_per_pixel: maximum memory while the format is decoded. The limit is lower for larger values.
    """
    if width < 1 or height < 1:
        raise ImageError("corrupt", f"The image has an invalid size of {width} x {height} pixels.")
    limit = options.max_pixels * ORDINARY_BYTES // max(ORDINARY_BYTES, bytes_per_pixel)
    if width * height > limit:
        why = "" if limit == options.max_pixels else f" for its format, which takes {bytes_per_pixel} bytes per pixel"
        raise ImageError(
            "too_many_pixels", f"The image has {width} x {height} pixels, over the limit of {limit:,}{why}."
        )


@contextmanager
def reading(name: str, cut: bool = False) -> Iterator[None]:
    """Runs a library that reads a file of this format; all its exceptions count as errors of the file.

    Args:
      cut: whether the file is known to end too early.

    Raises:
      ImageError: `corrupt` or `truncated`.
    """
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        if cut or "truncated" in str(error).lower():
            raise ImageError("truncated", f"The {name} ends before its picture is complete.") from error
        raise ImageError("corrupt", f"The {name} is damaged: {described(error)}") from error


def load(image: ImageFile.ImageFile) -> Ending:
    """Loads a picture that Pillow has opened, and returns how decoding ended. The image has the decoded part.

    Pillow itself follows `ImageFile.LOAD_TRUNCATED_IMAGES`, a switch of the whole process that belongs to the program
    that embeds this package; here it has no effect.
    """
    errors: list[int] = []
    image.decodermaxblock = _BLOCK
    image.tile = [
        tile._replace(codec_name=_WATCHED, args=(tile.codec_name, _as_tuple(tile.args), errors)) for tile in image.tile
    ]
    ending = Ending.CUT
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # plug-ins raise nearly everything there is
        image.tile = []  # or the next access would load again
        if not isinstance(error, OSError):
            ending = Ending.BROKEN
    if not errors:
        return ending
    if errors[-1] == _OUT_OF_MEMORY:
        raise MemoryError
    return Ending.WHOLE if errors[-1] >= 0 and ending is Ending.CUT else Ending.BROKEN


def _as_tuple(args: tuple[Any, ...] | str | None) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else () if args is None else (args,)


class _Watched:
    """One of Pillow's decoders, which notes the error code that it ended with (0 is none)."""

    def __init__(self, mode: str, name: str, args: tuple[Any, ...], errors: list[int], *extra: Any) -> None:
        self._decoder = getattr(Image.core, f"{name}_decoder")(mode, *args, *extra)
        self._errors = errors
        self.pulls_fd = self._decoder.pulls_fd
        self.setimage = self._decoder.setimage
        self.setfd = self._decoder.setfd
        self.cleanup = self._decoder.cleanup

    def decode(self, data: bytes) -> tuple[int, int]:
        used, error = self._decoder.decode(data)
        if used < 0:
            self._errors.append(error)
        return used, error


_WATCHED = "beam_job-watched"
Image.register_decoder(_WATCHED, _Watched)  # type: ignore[arg-type]
