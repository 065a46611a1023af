"""AVIF and HEIC: pictures in HEIF's container. How they are turned stands in the container, not in EXIF."""

from __future__ import annotations

import io

from PIL import AvifImagePlugin, Image

from beam_job import exif
from beam_job.image_error import ImageError, described
from beam_job.invocation import pip_install
from beam_job.picture import Picture, ReadOptions, check_size, opened

try:
    import pillow_heif
except ImportError:
    pillow_heif = None  # type: ignore[assignment]

_AVIF_BYTES_PER_PIXEL = 16
_HEIC_BYTES_PER_PIXEL = 22
_MAX_BOXES = 1_000


def read_avif(data: bytes, options: ReadOptions) -> Picture:
    """Decodes an AVIF, of an animated one the first picture.

    Raises:
      ImageError: `corrupt` or `too_many_pixels`.
    """
    image = opened(AvifImagePlugin.AvifImageFile, io.BytesIO(_without_exif(data)), "AVIF")
    check_size(*image.size, options, _AVIF_BYTES_PER_PIXEL)
    try:
        image.load()
    except (OSError, ValueError, RuntimeError) as error:
        code = "truncated" if "truncated" in str(error).lower() else "corrupt"
        raise ImageError(code, f"The AVIF is damaged: {described(error)}") from error
    # Pillow says in EXIF's terms what the container says of it.
    return Picture(image, *image.size, exif.orientation(image.info.get("exif", b"")), image.info.get("icc_profile"))


def read_heic(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a HEIC, of several pictures the primary one.

    Raises:
      ImageError: `corrupt`, `too_many_pixels`, or `unsupported_format` where pillow-heif is not installed.
    """
    if pillow_heif is None:
        install = pip_install("pillow-heif")
        raise ImageError("unsupported_format", f"This is HEIC, which needs pillow-heif: `{install}`.")
    try:
        file = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
        found = file[file.primary_index]
        check_size(*found.size, options, _HEIC_BYTES_PER_PIXEL)
        pixels = found.data  # only now its size is certain: it is turned by now
        image = Image.frombytes(found.mode, found.size, bytes(pixels), "raw", found.mode, found.stride)
    except (OSError, SyntaxError, ValueError, RuntimeError, EOFError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError("corrupt", f"The HEIC is damaged: {described(error)}") from error
    profile = found.info.get("icc_profile")
    return Picture(image, *image.size, profile=profile if isinstance(profile, bytes) else None)


def _without_exif(data: bytes) -> bytes:
    """The same file with its EXIF item renamed: Pillow would read all of it, whatever it adds up to."""
    position = 0
    for _ in range(_MAX_BOXES):
        size, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if name == b"meta":
            end = position + size if size else len(data)
            return b"".join((data[:position], data[position:end].replace(b"Exif\0", b"\0\0\0\0\0"), data[end:]))
        if size < 8:
            break
        position += size
    return data
