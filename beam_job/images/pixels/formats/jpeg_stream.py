"""The markers of a JPEG: what stands before its picture, its scans, and where they end."""

import re
import struct
from dataclasses import dataclass

from beam_job.images.pixels.image_error import ImageError

END = b"\xff\xd9"
HUFFMAN = b"\xff\xc4"
BOUNDARY = re.compile(rb"\xff[\xd8\xd9]")
"""The start or the end of a picture."""

_MAX_SEGMENTS = 10_000  # before the picture; 100 MB of full ones are 1,526
_MAX_SCANS = 100  # real ones have about ten, and each costs a pass over the whole picture
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # restart markers belong to the scan
_RESTART_MARKER = re.compile(rb"\xff[\xd0-\xd7]")
_SCAN, _APP0, _APP1, _APP2, _APP14 = 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
_RESTART = 0xDD
_TABLES = frozenset((0xC4, 0xCC, 0xDB, 0xDD))  # Huffman, arithmetic, quantisation, restart interval
_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))  # what libjpeg decodes: sequential and progressive
_PROGRESSIVE = frozenset((0xC2, 0xCA))
_ARITHMETIC = frozenset((0xC9, 0xCA))
_OTHER_FRAMES = frozenset((0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7))
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a segment


@dataclass
class Header:
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


def read_header(data: bytes) -> Header:
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
        if marker == END[1]:
            raise ImageError("corrupt", "The JPEG contains no picture.")
        if marker == _SCAN:
            if frame is None:
                raise ImageError("corrupt", "The JPEG is damaged: it does not give its picture's size.")
            height, width, count = struct.unpack_from(">HHB", frame[1], 1)
            each = (frame[1][6 + 3 * number : 8 + 3 * number] for number in range(count))
            components = {found[0]: (found[1] >> 4, found[1] & 15) for found in each}
            assembled = _assembled(profile)
            progressive, arithmetic = frame[0] in _PROGRESSIVE, frame[0] in _ARITHMETIC
            return Header(
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
            raise ImageError(
                "unsupported_format", "Lossless and hierarchical JPEGs are not supported: convert the image to PNG."
            )
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
        raise ImageError("corrupt", "The JPEG is damaged: its header is truncated.")
    if frame[0] != 8:
        raise ImageError(
            "unsupported_format", f"JPEGs with {frame[0]} bits per sample are not supported: convert the image to PNG."
        )
    if frame[5] not in (1, 3, 4):
        raise ImageError(
            "unsupported_format",
            f"JPEGs with {frame[5]} colour components are not supported: convert the image to PNG.",
        )
    if frame[1:3] == bytes(2):
        raise ImageError("unsupported_format", "JPEGs that give their height after the picture are not supported.")


def _assembled(parts: dict[int, bytes]) -> bytes | None:
    """An ICC profile of parts, by number and count; None where one is missing."""
    counts = {key & 0xFF for key in parts}
    numbers = sorted(key >> 8 for key in parts)
    if len(counts) != 1 or numbers != list(range(1, counts.pop() + 1)):
        return None
    return b"".join(parts[key] for key in sorted(parts))


def check_scans(stream: bytes, start: int, header: Header) -> None:
    """Refuses a JPEG of a great many scans: a few hundred bytes each, they cost minutes in all."""
    if is_one_scan(stream, start, header):
        return
    end = stream.find(END, start)
    if stream.count(b"\xff\xda", start, end if end >= 0 else len(stream)) > _MAX_SCANS:
        raise ImageError("corrupt", f"The JPEG has over {_MAX_SCANS} scans; real ones have about ten.")


def is_one_scan(data: bytes, scan: int, header: Header) -> bool:
    return not header.progressive and len(data) > scan + 4 and data[scan + 4] == len(header.components)


def has_end(stream: bytes, start: int) -> bool:
    """Whether an end marker stands somewhere behind the picture's beginning, and no other picture begins before it."""
    if stream.endswith(END):
        return True
    match = BOUNDARY.search(stream, start)
    return match is not None and match[0] == END


def end_of_last_scan(stream: bytes, start: int, header: Header) -> int | None:
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
        if match and stream[end + 1] == END[1]:
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


def _units(header: Header, components: bytes) -> int:
    """Blocks of one component, or groups of blocks of several, in a scan."""
    across, down = (max(sampling[axis] for sampling in header.components.values()) or 1 for axis in (0, 1))
    own_across, own_down = header.components.get(components[0], (1, 1)) if len(components) == 1 else (across, down)
    columns, rows = -(-header.width * own_across // across), -(-header.height * own_down // down)
    unit = (8, 8) if len(components) == 1 else (8 * across, 8 * down)
    return -(-columns // unit[0]) * -(-rows // unit[1])
