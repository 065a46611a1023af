"""BMP: every version of the header, palettes, bit fields and run lengths."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Picture, ReadOptions, check_size

_OS2_1, _OS2_2_SHORT, _OS2_2 = 12, 16, 64
_HEADERS = (_OS2_1, _OS2_2_SHORT, 40, 52, 56, _OS2_2, 108, 124)  # lengths in bytes, by which versions are told apart
_PLAIN, _RUNS_8, _RUNS_4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6
_DEPTHS = {_PLAIN: (1, 2, 4, 8, 16, 24, 32), _RUNS_8: (8,), _RUNS_4: (4,), _FIELDS: (16, 32), _ALPHA_FIELDS: (16, 32)}
_DEFAULT_FIELDS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_BAND = 1 << 18  # pixels that are unpacked at a time


class _Header(NamedTuple):
    width: int
    height: int
    upwards: bool  # the first row is the lowest one
    depth: int  # bits a pixel
    compression: int
    fields: tuple[int, ...]  # masks of red, green, blue, alpha; of 16 and 32 bits only
    palette: npt.NDArray[np.uint8]  # [colours, 3], RGB
    pixels: int  # where they begin


def read(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a bitmap.

    If 32-bit pixels have no mask for alpha, the fourth byte is ignored; so is alpha that is 0 everywhere.

    Raises:
      ImageError: `corrupt`, `truncated`, `unsupported_format` or `too_many_pixels`.
    """
    try:
        header = _header(data)
    except struct.error as error:
        raise ImageError("truncated", "The BMP ends before its picture begins.") from error
    check_size(header.width, header.height, options)
    if header.pixels >= len(data):
        raise ImageError("truncated", "The BMP ends before its picture begins.")
    if header.compression in (_RUNS_8, _RUNS_4):
        indices, whole = _runs(data, header)
    else:
        stride = (header.width * header.depth + 31) // 32 * 4
        needed = stride * (header.height - 1) + (header.width * header.depth + 7) // 8  # the last row needs no padding
        whole = len(data) - header.pixels >= needed
        if len(data) - header.pixels < stride * header.height:
            data = data.ljust(header.pixels + stride * header.height, b"\0")
        rows = np.frombuffer(data, np.uint8, stride * header.height, header.pixels)
    if not whole and not options.accept_truncated:
        raise ImageError("truncated", "The BMP ends before its picture is complete.")
    if header.compression in (_RUNS_8, _RUNS_4):
        image = _with_palette(indices, header)
    elif header.depth == 24:
        size = header.width, header.height
        image = Image.frombytes("RGB", size, rows, "raw", "BGR", stride, -1 if header.upwards else 1)
    else:
        packed = rows.reshape(header.height, stride)[:: -1 if header.upwards else 1]
        image = _with_palette(_indices(packed, header), header) if header.depth <= 8 else _with_fields(packed, header)
    return Picture(image, header.width, header.height, whole=whole)


def _header(data: bytes) -> _Header:
    pixels, length = struct.unpack_from("<II", data, 10)
    if length not in _HEADERS:
        raise ImageError("corrupt", "The BMP's header has an unknown version.")
    compression, colours = _PLAIN, 0
    if length == _OS2_1:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, depth = struct.unpack_from("<iiHH", data, 18)
    if length >= 40:
        compression, _, _, _, colours = struct.unpack_from("<IIiiI", data, 30)
    if depth not in _DEPTHS.get(compression, ()) or (length == _OS2_2 and compression > _RUNS_4):
        raise ImageError(
            "unsupported_format",
            f"BMPs of {depth} bits and compression {compression} are not supported: convert the image to PNG.",
        )
    after = 14 + length
    fields = _DEFAULT_FIELDS.get(depth, ())
    if compression in (_FIELDS, _ALPHA_FIELDS):
        with_alpha = length >= 56 or compression == _ALPHA_FIELDS
        masks = struct.unpack_from("<IIII" if with_alpha else "<III", data, 54)
        after = max(after, 54 + 4 * len(masks))
        if max(masks[:3]) >> depth:
            raise ImageError("corrupt", "The BMP is damaged: its bit fields are wider than its pixels.")
        if any(masks):
            fields = (*masks[:3], masks[3] & (1 << depth) - 1 if with_alpha else 0)
    colours = min(colours or 1 << depth, 1 << depth) if depth <= 8 else 0
    size = 3 if length == _OS2_1 else 4
    if pixels > after:
        colours = min(colours, (pixels - after) // size)
    entries = data[after : after + size * colours]
    palette = np.frombuffer(entries[: len(entries) // size * size], np.uint8).reshape(-1, size)[:, 2::-1]
    if depth <= 8 and not len(palette):
        raise ImageError("corrupt", "The BMP has no palette, which its pixels need.")
    return _Header(
        width, abs(height), height > 0, depth, compression, fields, palette, pixels or after + size * colours
    )


def _indices(packed: npt.NDArray[np.uint8], header: _Header) -> npt.NDArray[np.uint8]:
    """Of 1, 2, 4 or 8 bits a pixel: uint8 [height, width]."""
    if header.depth == 8:
        return packed[:, : header.width]
    shifts = np.arange(8 - header.depth, -1, -header.depth, dtype=np.uint8)
    found = np.empty((header.height, header.width), np.uint8)
    step = max(1, _BAND // header.width)
    for top in range(0, header.height, step):
        each = (packed[top : top + step, :, None] >> shifts) & ((1 << header.depth) - 1)
        found[top : top + step] = each.reshape(len(each), -1)[:, : header.width]
    return found


def _with_palette(indices: npt.NDArray[np.uint8], header: _Header) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(indices))
    palette = np.zeros((256, 3), np.uint8)  # what the palette leaves out is black
    palette[: len(header.palette)] = header.palette
    image.putpalette(palette.tobytes())
    return image


def _with_fields(packed: npt.NDArray[np.uint8], header: _Header) -> Image.Image:
    """Of 16 or 32 bits a pixel, by masks."""
    channels = 4 if header.fields[3] else 3
    found = np.empty((header.height, header.width, channels), np.uint8)
    step = max(1, _BAND // header.width)
    for top in range(0, header.height, step):
        values = np.ascontiguousarray(packed[top : top + step]).view("<u2" if header.depth == 16 else "<u4")
        for channel, mask in enumerate(header.fields[:channels]):
            found[top : top + step, :, channel] = _field(values[:, : header.width], mask)
    if channels == 4 and not found[..., 3].any():
        found = np.ascontiguousarray(found[..., :3])
    return Image.fromarray(found)


def _field(values: npt.NDArray[np.unsignedinteger], mask: int) -> npt.NDArray[np.uint8]:
    """The samples under a mask, as 8 bits."""
    if not mask:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    top = mask >> shift
    if top & (top + 1):
        raise ImageError(
            "unsupported_format", "BMPs with gaps in their bit fields are not supported: convert the image to PNG."
        )
    samples = (values >> shift) & top
    if top > 255:
        return (samples >> (top.bit_length() - 8)).astype(np.uint8)
    scaled: npt.NDArray[np.uint8] = (np.arange(top + 1) * 255 // top).astype(np.uint8)[samples]
    return scaled


def _runs(data: bytes, header: _Header) -> tuple[npt.NDArray[np.uint8], bool]:
    """Run lengths to uint8 [height, width], and whether they reach the last row."""
    width, height = header.width, header.height
    nibbles = header.compression == _RUNS_4
    found = bytearray(width * height)
    written = x = y = 0
    position = header.pixels
    whole = True
    while y < height:
        if position + 2 > len(data):
            whole = False
            break
        count, value = data[position], data[position + 1]
        position += 2
        if count:  # so many pixels of one colour, or of two in turn
            run = (bytes((value >> 4, value & 15)) * 128)[:count] if nibbles else bytes((value,)) * count
        elif value == 0:
            x, y = 0, y + 1
            continue
        elif value == 1:  # the end, wherever it stands
            whole = y >= height - 1
            break
        elif value == 2:
            if position + 2 > len(data):
                whole = False
                break
            x, y = x + data[position], y + data[position + 1]
            position += 2
            continue
        else:  # so many pixels as they are, padded to an even number of bytes
            length = (value + 1) // 2 if nibbles else value
            run = data[position : position + length]
            if len(run) < length:
                whole = False
            if nibbles:
                run = bytes(half for byte in run for half in (byte >> 4, byte & 15))[:value]
            position += length + (length & 1)
        run = run[: max(0, width - x)]
        found[y * width + x : y * width + x + len(run)] = run
        x, written = x + len(run), written + len(run)
    if written < width * height // 2:
        raise ImageError("corrupt", "The BMP's run lengths leave out most of its pixels.")
    rows = np.frombuffer(found, np.uint8).reshape(height, width)
    return rows[:: -1 if header.upwards else 1], whole
