"""TIFF directories: their tags, and which of a file's pictures to read.

Only the requested tags are read, however many others there are and wherever they point.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_job.images.pixels.image_error import ImageError

NEW_SUBFILE_TYPE, OLD_SUBFILE_TYPE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 266, 273, 274, 277, 278, 279
PLANAR, T4_OPTIONS, T6_OPTIONS, PREDICTOR, COLOUR_MAP = 284, 292, 293, 317, 320
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS, SUB_DIRECTORIES = 322, 323, 324, 325, 330
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES, SUBSAMPLING = 332, 338, 339, 347, 530
PROFILE, DNG_VERSION = 34675, 50706
COLOUR_FILTERS, LINEAR_RAW = 32803, 34892  # photometric interpretations of what a camera's sensor saw

_TYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 18: "u8"}
_MAX_VALUES = 4_000_000  # of one tag: the largest profiles and lists of strips
_MAX_ENTRIES = 65_535
_MAX_DIRECTORIES = 50  # looked at; of a longer file the picture is among the first
_REDUCED, _MASK = 1, 4  # bits of the new subfile type
_OLD_REDUCED = 2


@dataclass(frozen=True)
class Directory:
    """One directory of a TIFF file."""

    data: bytes
    order: str  # of bytes, as struct and NumPy write it
    entries: Mapping[int, tuple[int, int, int]]  # tag -> type, number of values, where they stand in the file
    following: int  # where the next one stands; 0 where there is none

    def values(self, tag: int) -> npt.NDArray[np.generic]:
        """The values of a tag; empty if it is missing.

        Raises:
          ImageError: `corrupt` or `truncated`, if they cannot be read.
        """
        if tag not in self.entries:
            return np.empty(0, np.int64)
        kind, count, start = self.entries[tag]
        if kind not in _TYPES or count > _MAX_VALUES:
            raise ImageError("corrupt", f"The TIFF is damaged: its tag {tag} is invalid.")
        dtype = np.dtype(self.order + _TYPES[kind])
        if start + count * dtype.itemsize > len(self.data):
            raise ImageError("truncated", f"The TIFF ends before its tag {tag} does.")
        return np.frombuffer(self.data, dtype, count, start)

    def places(self, tag: int) -> npt.NDArray[np.uint64]:
        """Offsets or counts of bytes, which cannot be negative; empty if the tag is missing.

        Raises:
          ImageError: `corrupt` or `truncated`, if they cannot be read.
        """
        values = self.values(tag)
        if len(values) and values.dtype.kind != "u":
            raise ImageError("corrupt", f"The TIFF is damaged: its tag {tag} is invalid.")
        return values.astype(np.uint64)

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The numbers of a tag, or the default if it is missing."""
        found = self.values(tag)
        if len(found) > 1000:
            raise ImageError("corrupt", f"The TIFF is damaged: its tag {tag} is invalid.")
        return tuple(int(value) for value in found) or default

    def number(self, tag: int, default: int) -> int:
        return self.numbers(tag, (default,))[0]

    @property
    def area(self) -> int:
        return self.number(WIDTH, 0) * self.number(LENGTH, 0)

    @property
    def is_picture(self) -> bool:
        """Whether it is a separate picture: not a smaller copy of another one, and not a mask."""
        kind = self.number(NEW_SUBFILE_TYPE, 0)
        return not kind & (_REDUCED | _MASK) and self.number(OLD_SUBFILE_TYPE, 0) != _OLD_REDUCED


def picture_directory(data: bytes) -> Directory:
    """The directory of the first picture that is not a smaller copy of another one.

    Raises:
      ImageError: `unsupported_format` for camera raw files, whose other pictures are small previews; `corrupt` or
        `truncated` for a file without a picture.
    """
    try:
        pages = list(_pages(data))
        inner = [(page, _directory(data, each)) for page in pages for each in page.numbers(SUB_DIRECTORIES)[:20]]
    except struct.error as error:
        raise ImageError("truncated", "The TIFF ends before its picture begins.") from error
    if not pages:
        raise ImageError("corrupt", "The TIFF contains no picture.")
    everything = [*pages, *(each for _, each in inner)]
    raw = any(each.number(PHOTOMETRIC, 0) in (COLOUR_FILTERS, LINEAR_RAW) for each in everything)
    if raw or any(DNG_VERSION in each.entries for each in everything):
        raise _camera_raw()
    pictures = [page for page in pages if page.is_picture]
    if not pictures:  # nothing but previews
        raise _camera_raw()
    picture = pictures[0]
    if any(each.is_picture and each.area > picture.area for page, each in inner if page is picture):
        raise _camera_raw()
    return picture


def _camera_raw() -> ImageError:
    return ImageError("unsupported_format", "Camera raw files are not supported: convert the image to JPEG or PNG.")


def _pages(data: bytes) -> Iterator[Directory]:
    order = "<" if data[:2] == b"II" else ">"
    position = (
        struct.unpack_from(order + "Q", data, 8)[0] if _big(data) else struct.unpack_from(order + "I", data, 4)[0]
    )
    seen: set[int] = set()
    while position and position not in seen and len(seen) < _MAX_DIRECTORIES:
        seen.add(position)
        try:
            page = _directory(data, position)
        except (struct.error, ImageError):
            if len(seen) == 1:
                raise
            return  # the first pages are there
        yield page
        position = page.following


def _directory(data: bytes, position: int) -> Directory:
    order = "<" if data[:2] == b"II" else ">"
    count_format, entry_format, next_format = ("Q", "HHQ8s", "Q") if _big(data) else ("H", "HHI4s", "I")
    if not 0 <= position <= len(data):
        raise ImageError("truncated", "The TIFF ends before its picture begins.")
    (count,) = struct.unpack_from(order + count_format, data, position)
    if count > _MAX_ENTRIES:
        raise ImageError("corrupt", "The TIFF is damaged: it has too many tags.")
    entry = struct.Struct(order + entry_format)
    start = position + struct.calcsize(order + count_format)
    end = start + count * entry.size
    if end > len(data):
        raise ImageError("truncated", "The TIFF ends before its picture begins.")
    entries: dict[int, tuple[int, int, int]] = {}
    here = start
    for tag, kind, values, place in entry.iter_unpack(data[start:end]):
        here += entry.size
        inside = kind not in _TYPES or values * np.dtype(_TYPES[kind]).itemsize <= len(place)
        pointed_to = int.from_bytes(place, "little" if order == "<" else "big")
        entries.setdefault(tag, (kind, values, here - len(place) if inside else pointed_to))
    following = data[end : end + struct.calcsize(order + next_format)]
    return Directory(data, order, entries, int.from_bytes(following, "little" if order == "<" else "big"))


def _big(data: bytes) -> bool:
    return 43 in data[2:4]
