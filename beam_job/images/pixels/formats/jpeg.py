"""JPEG: its pixels at a reduced scale, and whether one without an end marker is a whole picture.

Pillow gets only the segments that are needed for the picture, so that comments, EXIF blocks and previews cost nothing.
The result is the same.
"""

from __future__ import annotations

import hashlib
import io
from typing import TypeAlias

from PIL import Image, JpegImagePlugin

from beam_job.images.pixels import exif
from beam_job.images.pixels.formats.jpeg_stream import (
    BOUNDARY,
    END,
    HUFFMAN,
    Header,
    check_scans,
    end_of_last_scan,
    has_end,
    is_one_scan,
    read_header,
)
from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Ending, Picture, ReadOptions, check_size, load, reading

_AHEAD = bytes(16)  # libjpeg does not decode the last bits before it has more
_TAILS = (bytes(512), b"\x55" * 512)
_PADDING = 16  # equal bytes at the end of a file that look like space nobody has written to
_COMPARED_SIDE = 4096  # pixels; larger pictures are compared at a half, a quarter or an eighth

_Box: TypeAlias = tuple[float, float, float, float]


def read(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a JPEG, the first if a file has several, at a half, a quarter or an eighth if that is large enough.

    Raises:
      ImageError: `corrupt`, `truncated`, `unsupported_format` or `too_many_pixels`.
    """
    header = read_header(data)
    check_size(header.width, header.height, options)
    turn = exif.orientation(header.exif)
    if (found := _of_one_scan(data, header, options)) is not None:
        image, box, whole = found
        return Picture(image, header.width, header.height, turn, header.profile, box, whole)
    stream = b"".join((*header.segments, memoryview(data)[header.scan :]))
    start = sum(map(len, header.segments))
    check_scans(stream, start, header)
    image, ending, box = _decoded(stream, options.min_side)
    whole = ending is Ending.WHOLE and has_end(stream, start)
    if not whole:
        end = _end_of_picture(stream, start, header)
        if end is None and ending is Ending.BROKEN:
            raise ImageError("corrupt", "The JPEG is damaged: it cannot be decoded.")
        if end is None and not options.accept_truncated:
            raise ImageError("truncated", "The JPEG ends before its picture is complete.")
        image, ending, box = _decoded(stream[:end] + END, options.min_side)
        if ending is not Ending.WHOLE:  # cut amid the tables of a scan, which are of no use without it
            image, ending, box = _decoded(stream[: stream.rfind(HUFFMAN)] + END, options.min_side)
        if ending is not Ending.WHOLE:
            raise ImageError("truncated", "The JPEG ends before its picture is complete.")
        whole = end is not None
    return Picture(image, header.width, header.height, turn, header.profile, box, whole)


def _of_one_scan(
    data: bytes, header: Header, options: ReadOptions
) -> tuple[JpegImagePlugin.JpegImageFile, _Box | None, bool] | None:
    """The picture of a JPEG of one scan with an end marker, the part that is picture, and whether it is all there.

    At an end marker libjpeg makes up rows that are missing, and tells nobody. So it gets other bytes in place of the
    marker, and waits in vain for more: the rows were decoded by then, or are missing. Of the last row of blocks parts
    may be missing, as some cameras leave them out. None for other JPEGs.
    """
    if header.arithmetic or not is_one_scan(data, header.scan, header):
        return None
    boundary = BOUNDARY.search(data, header.scan)
    if boundary is None or boundary[0] != END:
        return None
    stream = b"".join((*header.segments, memoryview(data)[header.scan : boundary.start()], _AHEAD))
    blocks = 8 * max(down for _, down in header.components.values())
    for level in (1, 254):  # a row that is still as it was, whatever it was, has not been decoded
        image, box = _opened(stream, options.min_side)
        row = max(0, image.height - 1 - -(-blocks * image.height // header.height))  # the one above the last blocks
        ink = level if image.mode == "L" else (level,) * len(image.getbands())
        image.im = Image.core.new(image.mode, image.size)
        image.im.paste(ink, (0, row, image.width, row + 1))
        if load(image) is Ending.BROKEN:
            raise ImageError("corrupt", "The JPEG is damaged: it cannot be decoded.")
        if any(image.im.getpixel((x, row)) != ink for x in (0, image.width // 2, image.width - 1)):
            return image, box, True
    if not options.accept_truncated:
        raise ImageError("truncated", "The JPEG ends before its picture is complete.")
    image, _, box = _decoded(stream.removesuffix(_AHEAD) + END, options.min_side)
    return image, box, False


def _decoded(stream: bytes, min_side: int) -> tuple[JpegImagePlugin.JpegImageFile, Ending, _Box | None]:
    """The image, how its decoding ended, and the part of it that is picture."""
    image, box = _opened(stream, min_side)
    return image, load(image), box


def _opened(stream: bytes, min_side: int) -> tuple[JpegImagePlugin.JpegImageFile, _Box | None]:
    """The image, to be loaded, and the part of it that is picture.

    Where the scale does not divide the size, the last column or row is only partly picture.
    """
    file = io.BytesIO(stream)
    with reading("JPEG"):
        image = JpegImagePlugin.JpegImageFile(file)
    image.load_read = file.read  # type: ignore[assignment] # Pillow's own makes up an end where the file has none
    drafted = image.draft(None, (min_side, min_side))
    return image, drafted and drafted[1]


def _end_of_picture(stream: bytes, start: int, header: Header) -> int | None:
    """Where the picture ends in a JPEG without end marker; None if it has one, or is not all there.

    Each scan that the picture needs must have begun, and what stands behind the last one's bits must not matter: with
    any other bytes there, the picture is the same.
    """
    end = end_of_last_scan(stream, start, header)
    if end is None:
        return None
    while stream[end - 1] == 0xFF:  # the first half of a pair
        end -= 1
    unpadded = len(stream[start:end].rstrip(stream[end - 1 : end])) + start
    if end - unpadded >= _PADDING:  # a download that broke off, in a file that had its full length before
        end = unpadded + 1
    first, second = (_fingerprint(stream[:end] + tail + END) for tail in _TAILS)
    return end if first is not None and first == second else None


def _fingerprint(stream: bytes) -> bytes | None:
    image, ending, _ = _decoded(stream, _COMPARED_SIDE)
    return hashlib.blake2b(image.tobytes()).digest() if ending is Ending.WHOLE else None
