"""TIFF: samples of every supported layout to a picture in 8 bits.

libtiff, through Pillow, only decompresses them. Bits, byte order, planes, predictors and colours are handled here, in
the same way for each compression.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Picture, ReadOptions, check_size
from beam_job.images.pixels.tiff import grey, tags
from beam_job.images.pixels.tiff.compression import FAX, JPEG, NONE, Segments, unpacked
from beam_job.images.pixels.tiff.layout import GREYS, ICCLAB, PALETTE, WHITE_IS_ZERO, Layout, layout_of

_MAX_SEGMENTS = 300_000  # strips or tiles; three planes of 65,535 rows in one strip each are fewer
_GROUP = 1 << 24  # bytes of samples that are decompressed at a time, unless one row of strips or tiles has more
_BAND = 1 << 21  # samples that are turned into 8 bits at a time

_Bytes = npt.NDArray[np.uint8]


def read(data: bytes, options: ReadOptions) -> Picture:
    """Decodes the first picture of a TIFF that is not a smaller copy of another one.

    Samples of up to 16 bits keep their high bits. Grey samples whose range is unspecified (signed, 32-bit or
    floating-point) are scaled by their range.

    Raises:
      ImageError: `corrupt`, `truncated`, `unsupported_format` or `too_many_pixels`.
    """
    directory = tags.picture_directory(data)
    layout = layout_of(directory)
    copies = 1 if layout.compression == NONE and not layout.wide else 4
    bytes_per_pixel = copies * -(-layout.bits * layout.samples // 8) + 4
    check_size(layout.width, layout.height, options, bytes_per_pixel)
    # Tiles may reach far beyond the picture, and are decoded whole.
    padded = layout.across * layout.segment_width, layout.down * layout.segment_height
    check_size(*padded, options, bytes_per_pixel)
    segments = _segments(directory, layout)
    whole = segments.whole()
    if not whole and not options.accept_truncated:
        raise ImageError("truncated", "The TIFF ends before its picture is complete.")
    image = _wide_grey(segments, layout) if layout.wide else _coloured(segments, layout)
    turn = directory.number(tags.ORIENTATION, 1)
    return Picture(image, layout.width, layout.height, turn if 1 <= turn <= 8 else 1, _profile(directory), whole=whole)


def _profile(directory: tags.Directory) -> bytes | None:
    try:
        return directory.values(tags.PROFILE).tobytes() or None
    except ImageError:  # of the profile alone
        return None


def _segments(directory: tags.Directory, layout: Layout) -> Segments:
    """Strips or tiles of the picture, those of one plane after those of the other."""
    planes = layout.samples if layout.planar else 1
    each = layout.across * layout.down
    if each * planes > _MAX_SEGMENTS:
        raise ImageError("corrupt", f"The TIFF has over {_MAX_SEGMENTS:,} strips or tiles.")
    tiled = tags.TILE_OFFSETS in directory.entries
    starts = directory.places(tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS)[: each * planes]
    lengths = directory.places(tags.TILE_COUNTS if tags.TILE_COUNTS in directory.entries else tags.STRIP_COUNTS)
    if len(starts) < each * planes:
        raise ImageError("corrupt", "The TIFF is damaged: strips or tiles are missing.")
    if layout.compression == NONE:  # what the file says of their lengths is not always true, and not needed
        rows = np.minimum(layout.segment_height, layout.height - np.arange(layout.down) * layout.segment_height)
        if layout.tiled:
            rows[:] = layout.segment_height
        lengths = np.tile(np.repeat(rows * layout.stride, layout.across), planes).astype(np.uint64)
    elif not lengths.any() and len(starts) == 1:  # not said, or said to be 0
        lengths = len(directory.data) - starts  # of a start behind the end, `whole` says so
    if len(lengths) < len(starts) or not lengths[: len(starts)].all():
        raise ImageError("corrupt", "The TIFF is damaged: strips or tiles are missing.")
    return Segments(directory, layout.compression, starts, lengths[: len(starts)])


def _coloured(segments: Segments, layout: Layout) -> Image.Image:
    colour_map = _colour_map(segments.directory, layout) if layout.photometric == PALETTE else None
    image = Image.new(layout.mode, (layout.width, layout.height))
    for top, samples in _bands(segments, layout):
        band = np.ascontiguousarray(_colours(samples, layout, colour_map))
        image.paste(Image.frombytes(layout.mode, (layout.width, len(band)), band.tobytes()), (0, top))
    return image


def _wide_grey(segments: Segments, layout: Layout) -> Image.Image:
    values = np.zeros((layout.height, layout.width), layout.dtype)
    for top, samples in _bands(segments, layout):
        values[top : top + len(samples)] = samples[..., 0]
    levels = grey.to_8_bits(values)
    return Image.fromarray(255 - levels if layout.photometric == WHITE_IS_ZERO else levels)


def _bands(segments: Segments, layout: Layout) -> Iterator[tuple[int, npt.NDArray[np.generic]]]:
    """The picture from top to bottom: where each band begins, and its samples [rows, width, samples of a pixel]."""
    planes = range(layout.samples if layout.planar else 1)
    group = max(1, _GROUP // (len(planes) * layout.across * layout.segment_height * layout.stride))
    step = max(1, _BAND // (layout.across * layout.segment_width * layout.samples))
    for first in range(0, layout.down, group):
        raw = [_rows(segments, layout, plane, first, min(group, layout.down - first)) for plane in planes]
        for top in range(0, len(raw[0]), step):
            samples = [_samples(plane[top : top + step], layout) for plane in raw]
            yield first * layout.segment_height + top, np.concatenate(samples, axis=-1) if layout.planar else samples[0]


def _rows(segments: Segments, layout: Layout, plane: int, first: int, count: int) -> _Bytes:
    """`count` rows of strips or tiles: uint8 [rows of pixels, segments side by side, bytes of a segment's row]."""
    rows = min(count * layout.segment_height, layout.height - first * layout.segment_height)
    padded = count * layout.segment_height if layout.tiled else rows
    begin = (plane * layout.down + first) * layout.across
    parts = segments.parts(begin, begin + count * layout.across)
    if layout.compression == NONE:
        packed = np.frombuffer(b"".join(parts).ljust(padded * layout.across * layout.stride, b"\0"), np.uint8)
    else:
        in_pixels = layout.compression in (JPEG, *FAX)
        width = layout.segment_width if in_pixels else layout.stride
        there = min(padded * layout.across, len(parts) * layout.segment_height)
        packed = np.zeros((0, layout.stride), np.uint8)
        if there:
            rows_of_part = min(layout.segment_height, there)
            packed = unpacked(parts, layout.compression, width, there, rows_of_part, segments.directory)
        if there < padded * layout.across:
            packed = np.pad(packed, ((0, padded * layout.across - there), (0, 0)))
    if not layout.tiled:
        return packed.reshape(rows, 1, layout.stride)
    tiles = packed.reshape(count, layout.across, layout.segment_height, layout.stride)
    return tiles.transpose(0, 2, 1, 3).reshape(padded, layout.across, layout.stride)[:rows]


def _samples(raw: _Bytes, layout: Layout) -> npt.NDArray[np.generic]:
    """Bytes [rows, segments side by side, bytes] to samples [rows, width, samples of a pixel, or of its plane]."""
    rows, across, _ = raw.shape
    each = 1 if layout.planar else layout.samples
    shape = (rows, across, layout.segment_width, each)
    bits = layout.stored_bits
    samples: npt.NDArray[np.generic]
    if layout.predictor == 3:  # differences of bytes, the highest of all samples of a row first
        sums = np.cumsum(raw.reshape(rows, across, -1, each), axis=2, dtype=np.uint8)
        by_byte = sums.reshape(rows, across, bits // 8, -1).swapaxes(2, 3)
        samples = np.ascontiguousarray(by_byte).view(layout.dtype.newbyteorder(">")).reshape(shape)
    elif bits % 8:
        separate = np.unpackbits(raw, axis=-1)[..., : layout.segment_width * each * bits].reshape(*shape, bits)
        samples = separate[..., 0]
        if bits > 1:
            samples = separate @ (1 << np.arange(bits - 1, -1, -1, dtype=np.uint16))
    else:
        samples = np.ascontiguousarray(raw).view(layout.stored_dtype).reshape(shape)
    if layout.predictor == 2:
        whole = f"u{bits // 8}"
        native = samples.astype(layout.dtype).view(whole)
        samples = np.cumsum(native, axis=2, dtype=whole).view(layout.dtype)
    return samples.reshape(rows, -1, each)[:, : layout.width]


def _colours(samples: npt.NDArray[np.generic], layout: Layout, colour_map: _Bytes | None) -> _Bytes:
    """Samples [rows, width, samples of a pixel] to uint8 [rows, width, channels of the picture's mode]."""
    if colour_map is not None:
        return colour_map[samples[..., 0].astype(np.uint8)]
    levels: _Bytes
    if layout.bits <= 8:
        top = (1 << layout.bits) - 1
        levels = (np.arange(top + 1) * 255 // top).astype(np.uint8)[samples.astype(np.uint8)]
    else:
        levels = (samples.astype(np.uint16) >> (layout.bits - 8)).astype(np.uint8)
    colours = levels[..., : layout.colours]
    if layout.photometric == WHITE_IS_ZERO:
        colours = 255 - colours
    if layout.photometric == ICCLAB:
        colours = colours ^ np.array([0, 128, 128], np.uint8)  # to signed numbers, as Pillow expects them
    if layout.alpha is None:
        return colours
    if layout.photometric in GREYS and layout.premultiplied:
        colours = np.repeat(colours, 3, axis=-1)  # Pillow brings premultiplied alpha to white in colour alone
    return np.concatenate((colours, levels[..., layout.alpha, None]), axis=-1)


def _colour_map(directory: tags.Directory, layout: Layout) -> _Bytes:
    """uint8 [colours, 3]. Some programs write 8-bit values where the format wants 16 bits."""
    values = directory.values(tags.COLOUR_MAP)
    if len(values) != 3 << layout.bits:
        raise ImageError("corrupt", "The TIFF is damaged: its palette has the wrong length.")
    colours = values.reshape(3, -1).T.astype(np.uint16)
    return (colours if colours.max() < 256 else colours >> 8).astype(np.uint8)
