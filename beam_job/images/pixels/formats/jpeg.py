"""JPEG: its segments, its pixels at a reduced scale, and whether one without an end marker is a whole picture.

Pillow gets the segments that make the picture and none of the others, so that no comment, EXIF block or preview costs
anything. What comes out is the same.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image, JpegImagePlugin

from beam_job.images.pixels import exif
from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Ending, Picture, ReadOptions, check_size, load, reading

_MAX_SEGMENTS = 10_000  # before the picture; 100 MB of full ones are 1,526
_MAX_SCANS = 100  # real ones have about ten, and each costs a pass over the whole picture
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # restart markers belong to the scan
_BOUNDARY = re.compile(rb"\xff[\xd8\xd9]")
_RESTART_MARKER = re.compile(rb"\xff[\xd0-\xd7]")
_END = b"\xff\xd9"
_HUFFMAN = b"\xff\xc4"
_SCAN, _APP0, _APP1, _APP2, _APP14 = 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
_RESTART = 0xDD
_TABLES = frozenset((0xC4, 0xCC, 0xDB, 0xDD))  # Huffman, arithmetic, quantisation, restart interval
_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))  # what libjpeg decodes: sequential and progressive
_PROGRESSIVE = frozenset((0xC2, 0xCA))
_ARITHMETIC = frozenset((0xC9, 0xCA))
_OTHER_FRAMES = frozenset((0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7))
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a segment
_AHEAD = bytes(16)  # libjpeg does not decode the last bits before it has more
_TAILS = (bytes(512), b"\x55" * 512)
_PADDING = 16  # equal bytes at the end of a file that look like space nobody has written to
_COMPARED_SIDE = 4096  # pixels; larger pictures are compared at a half, a quarter or an eighth

_Box: TypeAlias = tuple[float, float, float, float]


@dataclass
class _Header:
    """What stands before the first scan."""

    segments: list[bytes]  # those that make the picture, with the start marker
    scan: int  # where the first scan's marker stands in the file
    width: int
    height: int
    components: dict[int, tuple[int, int]]  # identifier -> samples across and down in a unit of the picture
    restart: int  # units between restart markers; 0 where there are none
    progressive: bool
    arithmetic: bool  # its encoders leave out zeros at the end
    exif: bytes
    profile: bytes | None


def read(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a JPEG, the first of several in one file, at a half, a quarter or an eighth where that is large enough.

    Raises:
      ImageError: `corrupt`, `truncated`, `unsupported_format` or `too_many_pixels`.
    """
    header = _header(data)
    check_size(header.width, header.height, options)
    turn = exif.orientation(header.exif)
    if (found := _of_one_scan(data, header, options)) is not None:
        image, box, whole = found
        return Picture(image, header.width, header.height, turn, header.profile, box, whole)
    stream = b"".join((*header.segments, memoryview(data)[header.scan :]))
    start = sum(map(len, header.segments))
    _check_scans(stream, start, header)
    image, ending, box = _decoded(stream, options.min_side)
    whole = ending is Ending.WHOLE and _has_end(stream, start)
    if not whole:
        end = _end_of_picture(stream, start, header)
        if end is None and ending is Ending.BROKEN:
            raise ImageError("corrupt", "The JPEG is damaged: its decoder gave up.")
        if end is None and not options.accept_truncated:
            raise ImageError("truncated", "The JPEG ends before its picture does.")
        image, ending, box = _decoded(stream[:end] + _END, options.min_side)
        if ending is not Ending.WHOLE:  # cut amid the tables of a scan, which are of no use without it
            image, ending, box = _decoded(stream[: stream.rfind(_HUFFMAN)] + _END, options.min_side)
        if ending is not Ending.WHOLE:
            raise ImageError("truncated", "The JPEG ends before its picture does.")
        whole = end is not None
    return Picture(image, header.width, header.height, turn, header.profile, box, whole)


def _of_one_scan(
    data: bytes, header: _Header, options: ReadOptions
) -> tuple[JpegImagePlugin.JpegImageFile, _Box | None, bool] | None:
    """The picture of a JPEG of one scan with an end marker, the part that is picture, and whether it is all there.

    At an end marker libjpeg makes up rows that are missing, and tells nobody. So it gets other bytes in place of the
    marker, and waits in vain for more: the rows were decoded by then, or are missing. Of the last row of blocks parts
    may be missing, as some cameras leave them out. None for other JPEGs.
    """
    if header.arithmetic or not _is_one_scan(data, header.scan, header):
        return None
    boundary = _BOUNDARY.search(data, header.scan)
    if boundary is None or boundary[0] != _END:
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
            raise ImageError("corrupt", "The JPEG is damaged: its decoder gave up.")
        if any(image.im.getpixel((x, row)) != ink for x in (0, image.width // 2, image.width - 1)):
            return image, box, True
    if not options.accept_truncated:
        raise ImageError("truncated", "The JPEG ends before its picture does.")
    image, _, box = _decoded(stream.removesuffix(_AHEAD) + _END, options.min_side)
    return image, box, False


def _header(data: bytes) -> _Header:
    segments = [data[:2]]
    frame: tuple[int, bytes] | None = None
    found_exif = b""
    profile: dict[int, bytes] = {}
    restart = 0
    position = 2
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER.search(data, position)
        if match is None:
            raise ImageError("truncated", "The JPEG ends before its picture begins.")
        marker, position = data[match.end() - 1], match.end()
        if marker in _ALONE:
            continue
        if marker == _END[1]:
            raise ImageError("corrupt", "The JPEG holds no picture.")
        if marker == _SCAN:
            if frame is None:
                raise ImageError("corrupt", "The JPEG is damaged: it says nothing of its picture's size.")
            height, width, count = struct.unpack_from(">HHB", frame[1], 1)
            each = (frame[1][6 + 3 * number : 8 + 3 * number] for number in range(count))
            components = {found[0]: (found[1] >> 4, found[1] & 15) for found in each}
            assembled = _assembled(profile)
            progressive, arithmetic = frame[0] in _PROGRESSIVE, frame[0] in _ARITHMETIC
            return _Header(
                segments,
                match.start(),
                width,
                height,
                components,
                restart,
                progressive,
                arithmetic,
                found_exif,
                assembled,
            )
        length = int.from_bytes(data[position : position + 2], "big")
        content = data[position + 2 : position + length]
        if position + max(2, length) > len(data):
            raise ImageError("truncated", "The JPEG ends before its picture begins.")
        if length < 2:
            raise ImageError("corrupt", "The JPEG is damaged: a segment has no length.")
        if marker in _OTHER_FRAMES:
            raise ImageError("unsupported_format", "Lossless and hierarchical JPEGs are not read: convert it to PNG.")
        if marker == _RESTART:
            restart = int.from_bytes(content[:2], "big")
        if marker in _FRAMES:
            frame = marker, content
            _check_frame(content)
        if (
            marker in _FRAMES
            or marker in _TABLES
            or (marker == _APP0 and content.startswith(b"JFIF"))
            or (marker == _APP14 and content.startswith(b"Adobe"))  # says which colours they are
        ):
            segments.append(data[match.start() : position + length])
        elif marker == _APP1 and not found_exif and content.startswith(b"Exif\0\0"):
            found_exif = content
        elif marker == _APP2 and content.startswith(b"ICC_PROFILE\0") and len(content) > 14:
            profile.setdefault(content[12] << 8 | content[13], content[14:])
        position += length
    raise ImageError("corrupt", f"The JPEG has over {_MAX_SEGMENTS:,} segments before its picture.")


def _check_frame(frame: bytes) -> None:
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        raise ImageError("corrupt", "The JPEG is damaged: its header is cut.")
    if frame[0] != 8:
        raise ImageError("unsupported_format", f"JPEGs of {frame[0]} bits a sample are not read: convert it to PNG.")
    if frame[5] not in (1, 3, 4):
        raise ImageError("unsupported_format", f"JPEGs of {frame[5]} colours are not read: convert it to PNG.")
    if frame[1:3] == bytes(2):
        raise ImageError("unsupported_format", "JPEGs that say their height behind the picture are not read.")


def _assembled(parts: dict[int, bytes]) -> bytes | None:
    """An ICC profile of parts, by number and count; None where one is missing."""
    counts = {key & 0xFF for key in parts}
    numbers = sorted(key >> 8 for key in parts)
    if len(counts) != 1 or numbers != list(range(1, counts.pop() + 1)):
        return None
    return b"".join(parts[key] for key in sorted(parts))


def _check_scans(stream: bytes, start: int, header: _Header) -> None:
    """Refuses a JPEG of a great many scans: a few hundred bytes each, they cost minutes in all."""
    if _is_one_scan(stream, start, header):
        return
    end = stream.find(_END, start)
    if stream.count(b"\xff\xda", start, end if end >= 0 else len(stream)) > _MAX_SCANS:
        raise ImageError("corrupt", f"The JPEG has over {_MAX_SCANS} scans; real ones have about ten.")


def _is_one_scan(data: bytes, scan: int, header: _Header) -> bool:
    return not header.progressive and len(data) > scan + 4 and data[scan + 4] == len(header.components)


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


def _has_end(stream: bytes, start: int) -> bool:
    """Whether an end marker stands somewhere behind the picture's beginning, and no other picture begins before it."""
    if stream.endswith(_END):
        return True
    match = _BOUNDARY.search(stream, start)
    return match is not None and match[0] == _END


def _end_of_picture(stream: bytes, start: int, header: _Header) -> int | None:
    """Where the picture ends in a JPEG without end marker; None if it has one, or is not all there.

    Each scan that the picture needs must have begun, and what stands behind the last one's bits must not matter: with
    any other bytes there, the picture is the same.
    """
    end = _end_of_last_scan(stream, start, header)
    if end is None:
        return None
    while stream[end - 1] == 0xFF:  # the first half of a pair
        end -= 1
    unpadded = len(stream[start:end].rstrip(stream[end - 1 : end])) + start
    if end - unpadded >= _PADDING:  # a download that broke off, in a file that had its full length before
        end = unpadded + 1
    first, second = (_fingerprint(stream[:end] + tail + _END) for tail in _TAILS)
    return end if first is not None and first == second else None


def _end_of_last_scan(stream: bytes, start: int, header: _Header) -> int | None:
    """Walks the scans until every coefficient has all of its bits; None if that is never, or an end marker follows."""
    missing = {(component, k): 99 for component in header.components for k in range(64)}  # bits still to come
    position = start
    for _ in range(_MAX_SCANS):
        count = stream[position + 4] if position + 4 < len(stream) else 0
        scan = stream[position + 4 : position + 8 + 2 * count]
        if len(scan) < 4 + 2 * count:
            return None
        first, last, bits = scan[1 + 2 * count :]
        for component in scan[1 : 1 + 2 * count : 2]:
            missing.update({(component, k): bits & 15 for k in range(first, min(last, 63) + 1)})
        position += 8 + 2 * count
        match = _MARKER_IN_SCAN.search(stream, position)
        end = match.start() if match else len(stream)
        if match and stream[end + 1] == _END[1]:
            return None
        if header.restart:
            units = _units(header, scan[1 : 1 + 2 * count : 2])
            if len(_RESTART_MARKER.findall(stream, position, end)) < (units - 1) // header.restart:
                return None
        if not any(missing.values()):
            return end
        while match and stream[match.end() - 1] != _SCAN:  # tables stand between scans
            if stream[match.end() - 1] not in _TABLES - {_RESTART}:
                return None
            length = int.from_bytes(stream[match.end() : match.end() + 2], "big")
            match = _MARKER.match(stream, match.end() + length)
        if match is None:
            return None
        position = match.start()
    return None


def _units(header: _Header, components: bytes) -> int:
    """Blocks of one component, or groups of blocks of several, in a scan."""
    across, down = (max(sampling[axis] for sampling in header.components.values()) or 1 for axis in (0, 1))
    own_across, own_down = header.components.get(components[0], (1, 1)) if len(components) == 1 else (across, down)
    columns, rows = -(-header.width * own_across // across), -(-header.height * own_down // down)
    unit = (8, 8) if len(components) == 1 else (8 * across, 8 * down)
    return -(-columns // unit[0]) * -(-rows // unit[1])


def _fingerprint(stream: bytes) -> bytes | None:
    image, ending, _ = _decoded(stream, _COMPARED_SIDE)
    return hashlib.blake2b(image.tobytes()).digest() if ending is Ending.WHOLE else None
