"""JPEG 2000: its boxes and header are checked before OpenJPEG allocates 4 bytes per sample, twice."""

from __future__ import annotations

import io
import struct

from PIL import Image, Jpeg2KImagePlugin

from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Ending, Picture, ReadOptions, check_size, load, reading

_CODESTREAM = b"\xff\x4f\xff\x51"
_MAX_BOXES = 1_000
_MAX_MARKERS = 1_000  # before the first tile
_TILE, _END = 0x90, 0xD9


def read(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a JPEG 2000.

    Raises:
      ImageError: `corrupt`, `truncated`, `unsupported_format` or `too_many_pixels`.
    """
    try:
        start, profile = (0, None) if data.startswith(_CODESTREAM) else _boxes(data)
        width, height, samples, bits = _header(data, start)
    except struct.error as error:
        raise ImageError("truncated", "The JPEG 2000 ends before its picture begins.") from error
    check_size(width, height, options, 5 * samples + 5)
    with reading("JPEG 2000"):
        image = Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(data))
    if image.size != (width, height):
        raise ImageError("corrupt", "The JPEG 2000 is damaged: it gives two sizes of its picture.")
    if bits > 8 and image.mode != "I;16":  # Pillow would make white black
        raise ImageError(
            "unsupported_format", f"JPEG 2000 of {bits} bits in colours is not supported: convert the image to PNG."
        )
    if load(image) is not Ending.WHOLE:
        if not data.endswith(b"\xff\xd9"):
            raise ImageError("truncated", "The JPEG 2000 ends before its picture is complete.")
        raise ImageError("corrupt", "The JPEG 2000's pixels are damaged.")
    return Picture(_scaled(image, bits) if bits < 8 else image, width, height, profile=profile)


def _scaled(image: Image.Image, bits: int) -> Image.Image:
    """Brings samples of few bits, which Pillow has put in the upper ones, to 0 to 255; indices are left alone."""
    samples = [level >> (8 - bits) for level in range(256)]
    levels = samples if image.mode == "P" else [sample * 255 // ((1 << bits) - 1) for sample in samples]
    return image.point(levels * len(image.getbands()))


def _boxes(data: bytes) -> tuple[int, bytes | None]:
    """Where the codestream begins, and the ICC profile."""
    profile = None
    position = 0
    for _ in range(_MAX_BOXES):
        size, name = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
            head = 16
        if name == b"jp2c":
            return position + head, profile
        if size < head:
            break
        if name == b"colr" and data[position + head : position + head + 1] == b"\2":  # a restricted ICC profile
            profile = data[position + head + 3 : position + size]
        position += head if name == b"jp2h" else size  # what is in the header follows
    raise ImageError("corrupt", "The JPEG 2000 is damaged: none of its boxes contains a picture.")


def _header(data: bytes, start: int) -> tuple[int, int, int, int]:
    """Width, height, samples of a pixel and bits of a sample; the markers up to the first tile are walked."""
    if data[start : start + 4] != _CODESTREAM:
        raise ImageError("corrupt", "The JPEG 2000 is damaged: its picture has no header.")
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    (samples,) = struct.unpack_from(">H", data, start + 40)
    depths = {(depth & 0x7F) + 1 for depth in data[start + 42 : start + 42 + 3 * samples : 3]}
    if not 1 <= samples <= 4 or len(depths) != 1 or max(depths) > 16:
        raise ImageError(
            "unsupported_format",
            f"JPEG 2000 with {samples} samples per pixel, with mixed sample types or over 16 bits, is not supported.",
        )
    position = start + 2
    for _ in range(_MAX_MARKERS):
        marker, length = struct.unpack_from(">xBH", data, position)
        if marker in (_TILE, _END):
            return right - left, bottom - top, samples, depths.pop()
        position += 2 + max(2, length)
    raise ImageError("corrupt", f"The JPEG 2000 has over {_MAX_MARKERS:,} markers before its picture.")
