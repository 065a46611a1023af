"""GIF: Pillow gets only the first picture, without comments and other data before and after it."""

from __future__ import annotations

import io
import struct

from PIL import GifImagePlugin, Image

from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Ending, Picture, ReadOptions, check_size, load, reading

_MAX_BLOCKS = 1_000_000  # of comments and other extensions before the picture, 255 bytes each at most
_EXTENSION, _PICTURE = 0x21, 0x2C
_CONTROL = 0xF9


def read(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a GIF's first picture on its canvas. The uncovered part of the canvas is transparent, as in browsers.

    Raises:
      ImageError: `corrupt`, `truncated` or `too_many_pixels`.
    """
    try:
        size, box, still = _first_picture(data, options)
    except (IndexError, struct.error) as error:
        raise ImageError("truncated", "The GIF ends before its picture begins.") from error
    with reading("GIF", cut=True):  # what stands before the pixels is whole, or the file ends there
        image = GifImagePlugin.GifImageFile(io.BytesIO(still))
    ending = load(image)
    if ending is Ending.BROKEN:
        raise ImageError("corrupt", "The GIF's pixels are damaged.")
    if ending is Ending.CUT and not options.accept_truncated:
        raise ImageError("truncated", "The GIF ends before its picture is complete.")
    return Picture(_on_canvas(image, size, box), *size, whole=ending is Ending.WHOLE)


def _on_canvas(image: Image.Image, size: tuple[int, int], box: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    canvas = Image.new("RGBA", size)
    canvas.paste(image.convert("RGBA"), box)
    return canvas


def _first_picture(data: bytes, options: ReadOptions) -> tuple[tuple[int, int], tuple[int, int], bytes]:
    """Width and height of the canvas, where the first picture stands on it, and a GIF of that picture alone."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    palette_end = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    position = palette_end
    control = b""
    blocks = 0
    while data[position] == _EXTENSION:
        start, position = position, position + 2
        blocks += 1
        while size := data[position]:
            position += 1 + size
            blocks += 1
            if blocks > _MAX_BLOCKS:
                break
        if blocks > _MAX_BLOCKS:
            raise ImageError("corrupt", f"The GIF has over {_MAX_BLOCKS:,} blocks of comments before its picture.")
        position += 1
        if data[start + 1] == _CONTROL and data[start + 2] == 4:
            # Transparency, without what becomes of this picture when the next one comes.
            control = b"\x21\xf9\x04" + bytes([data[start + 3] & 1]) + data[start + 4 : start + 8]
    if data[position] != _PICTURE:
        raise ImageError("corrupt", "The GIF contains no picture.")
    left, top, own_width, own_height = struct.unpack_from("<HHHH", data, position + 1)
    width, height = max(width, left + own_width), max(height, top + own_height)
    check_size(width, height, options)
    if max(width, height) > 65535:
        raise ImageError("corrupt", "The GIF's picture lies outside its canvas.")
    if not own_width or not own_height:
        raise ImageError("corrupt", "The GIF's picture has no size.")
    screen = data[:6] + struct.pack("<HHB", own_width, own_height, flags) + data[11:palette_end]
    picture = struct.pack("<BHHHH", _PICTURE, 0, 0, own_width, own_height)
    still = b"".join((screen, control, picture, memoryview(data)[position + 9 :]))
    return (width, height), (left, top), still
