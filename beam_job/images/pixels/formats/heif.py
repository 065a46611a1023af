"""AVIF and HEIC: pictures in HEIF's container, which also contains their orientation; EXIF is ignored."""

from __future__ import annotations

import io

from PIL import AvifImagePlugin, Image

from beam_job.images.pixels import exif
from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Picture, ReadOptions, check_size, reading
from beam_job.messages.invocation import pip_install

try:
    import pillow_heif
except ImportError:
    pillow_heif = None  # type: ignore[assignment]

_AVIF_BYTES_PER_PIXEL = 19
_HEIC_BYTES_PER_PIXEL = 22
_MAX_BOXES = 1_000


def read_avif(data: bytes, options: ReadOptions) -> Picture:
    """Decodes an AVIF; if it is animated, its first picture.

    Raises:
      ImageError: `corrupt`, `truncated` or `too_many_pixels`.
    """
    cut, without_exif = _parts(data)
    with reading("AVIF", cut):
        image = AvifImagePlugin.AvifImageFile(io.BytesIO(without_exif))
        check_size(*image.size, options, _AVIF_BYTES_PER_PIXEL)
        image.load()
    # Pillow says in EXIF's terms what the container says of it.
    return Picture(image, *image.size, exif.orientation(image.info.get("exif", b"")), image.info.get("icc_profile"))


def read_heic(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a HEIC; if it has several pictures, the primary one.

    Raises:
      ImageError: `corrupt`, `truncated`, `too_many_pixels`, or `unsupported_format` if pillow-heif is not installed.
    """
    if pillow_heif is None:
        install = pip_install("pillow-heif")
        raise ImageError("unsupported_format", f"This is HEIC, which needs pillow-heif: `{install}`.")
    cut, _ = _parts(data)
    with reading("HEIC", cut):
        file = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
        found = file[file.primary_index]
        check_size(*found.size, options, _HEIC_BYTES_PER_PIXEL)
        pixels = found.data  # only now its size is certain: it is turned by now
        image = Image.frombytes(found.mode, found.size, bytes(pixels), "raw", found.mode, found.stride)
    profile = found.info.get("icc_profile")
    return Picture(image, *image.size, profile=profile if isinstance(profile, bytes) else None)


def _parts(data: bytes) -> tuple[bool, bytes]:
    """Whether the file ends amid a box, and the same file with its EXIF renamed: Pillow would read all of that."""
    position = 0
    renamed = data
    for _ in range(_MAX_BOXES):
        size, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        end = position + size if size else len(data)
        if name == b"meta":
            box = data[position:end].replace(b"Exif", b"none")
            renamed = b"".join((data[:position], box, data[end:]))
        if end <= position or end >= len(data):
            return end > len(data), renamed
        position = end
    return False, renamed
