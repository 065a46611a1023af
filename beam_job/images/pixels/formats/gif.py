"""GIF: the first picture alone is handed to Pillow, without comments and whatever else stands before and behind it."""

from __future__ import annotations

import io
import struct

from PIL import GifImagePlugin

from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Ending, Picture, ReadOptions, check_size, load, reading

_MAX_BLOCKS = 1_000_000  # of comments and other extensions before the picture, 255 bytes each at most
_EXTENSION, _PICTURE = 0x21, 0x2C
_CONTROL = 0xF9


def read(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a GIF's first picture, laid on its canvas.

    Raises:
      ImageError: `corrupt`, `truncated` or `too_many_pixels`.
    """
    try:
        width, height, still = _first_picture(data, options)
    except (IndexError, struct.error) as error:
        raise ImageError("truncated", "The GIF ends before its picture begins.") from error
    with reading("GIF"):
        image = GifImagePlugin.GifImageFile(io.BytesIO(still))
    ending = load(image)
    if ending is Ending.BROKEN:
        raise ImageError("corrupt", "The GIF's pixels are damaged.")
    if ending is Ending.CUT and not options.accept_truncated:
        raise ImageError("truncated", "The GIF ends before its picture does.")
    return Picture(image, width, height, whole=ending is Ending.WHOLE)


def _first_picture(data: bytes, options: ReadOptions) -> tuple[int, int, bytes]:
    """Width and height of the canvas, and a GIF of the first picture alone."""
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
        raise ImageError("corrupt", "The GIF holds no picture.")
    left, top, own_width, own_height = struct.unpack_from("<HHHH", data, position + 1)
    width, height = max(width, left + own_width), max(height, top + own_height)
    check_size(width, height, options)
    if max(width, height) > 65535:
        raise ImageError("corrupt", "The GIF's picture lies outside its canvas.")
    screen = data[:6] + struct.pack("<HHB", width, height, flags) + data[11:palette_end]
    return width, height, b"".join((screen, control, memoryview(data)[position:]))
