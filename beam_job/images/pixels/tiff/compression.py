"""The strips and tiles of a TIFF, and their decompression by libtiff, through Pillow.

libtiff never reads the original file. It gets a small file that is made here from the strips or tiles, whose rows of
bytes it decompresses without interpreting their samples.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.tiff import tags

NONE, JPEG = 1, 7
FAX = (2, 3, 4)
PREDICTED = (5, 8, 32946, 34925, 50000)  # LZW, deflate by two numbers, LZMA, Zstandard; samples may be differences
BYTE_WISE = (*PREDICTED, 32773)  # and PackBits
_YCBCR = 6
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_PASSED_ON = (tags.T4_OPTIONS, tags.T6_OPTIONS, tags.SUBSAMPLING)


@dataclass(frozen=True)
class Segments:
    """Strips or tiles, by number."""

    directory: tags.Directory
    compression: int
    starts: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint64]

    def parts(self, first: int, last: int) -> list[bytes | memoryview]:
        """The bytes of some of them; of compressed ones, only those that are complete."""
        data = self.directory.data
        # Of JPEG the tag says nothing: libtiff reads the stream as it is.
        turned = self.directory.number(tags.FILL_ORDER, 1) == 2 and self.compression != JPEG
        view = memoryview(data)
        found: list[bytes | memoryview] = []
        for start, length in zip(self.starts[first:last].tolist(), self.lengths[first:last].tolist(), strict=True):
            if start + length > len(data) and self.compression != NONE:
                break
            part = view[start : start + length]
            found.append(part.tobytes().translate(_REVERSED) if turned else part)
        return found

    def whole(self) -> bool:
        """Whether the file contains all of them completely."""
        size = np.uint64(len(self.directory.data))
        # Not by their ends, which may be more than 64 bits hold.
        return bool(((self.starts <= size) & (self.lengths <= size - self.starts)).all())


def unpacked(
    parts: Sequence[bytes | memoryview],
    compression: int,
    width: int,
    rows: int,
    rows_of_part: int,
    directory: tags.Directory,
) -> npt.NDArray[np.uint8]:
    """Decompresses strips or tiles, one below the other.

    Args:
      width: of a row, in bytes; in pixels for JPEG and fax.
      rows: of all parts together.
      rows_of_part: of each part except the last.

    Returns:
      uint8 [rows, bytes of a row]; for JPEG and fax [rows, samples of a row].

    Raises:
      ImageError: `corrupt`.
    """
    mode = "1" if compression in FAX else "L"
    photometric = 1
    if compression == JPEG:
        photometric = directory.number(tags.PHOTOMETRIC, 1) or 1
        mode = {2: "RGB", 5: "CMYK", _YCBCR: "RGB"}.get(photometric, "L")
    samples = {"RGB": 3, "CMYK": 4}.get(mode, 1)
    numbers: dict[int, Sequence[int]] = {
        tags.WIDTH: (width,),
        tags.LENGTH: (rows,),
        tags.BITS: (1 if mode == "1" else 8,) * samples,
        tags.COMPRESSION: (compression,),
        tags.PHOTOMETRIC: (photometric,),
        tags.SAMPLES: (samples,),
        tags.ROWS_PER_STRIP: (rows_of_part,),
        **{tag: directory.numbers(tag) for tag in _PASSED_ON if tag in directory.entries},
    }
    file, start = _file(numbers, directory.values(tags.JPEG_TABLES).tobytes(), parts)
    image = Image.new(mode, (width, rows))
    # Pillow's reader of TIFFs would look at more than is needed, and at settings of the whole process.
    decoder = Image.core.libtiff_decoder(mode, mode, "", False, start)
    decoder.setimage(image.im, (0, 0, width, rows))
    try:
        _, error = decoder.decode(file)
    finally:
        decoder.cleanup()
    if error < 0:
        raise ImageError("corrupt", "The TIFF is damaged: its strips or tiles cannot be decompressed.")
    del file
    return np.asarray(image, np.uint8).reshape(rows, -1)


def _file(
    numbers: Mapping[int, Sequence[int]], tables: bytes, parts: Sequence[bytes | memoryview]
) -> tuple[bytes, int]:
    """A TIFF of these tags and strips, and where its directory stands."""
    position = 8
    starts = []
    for part in parts:
        starts.append(position)
        position += len(part)
    entries: list[bytes] = []
    values: list[bytes] = []
    directory = position + position % 2
    content: dict[int, tuple[int, int, bytes]] = {
        tag: (4, len(found), struct.pack(f"<{len(found)}I", *found))
        for tag, found in {**numbers, tags.STRIP_OFFSETS: starts, tags.STRIP_COUNTS: list(map(len, parts))}.items()
    }
    if tables:
        content[tags.JPEG_TABLES] = 7, len(tables), tables
    after = directory + 2 + 12 * len(content) + 4
    for tag, (kind, count, packed) in sorted(content.items()):
        if len(packed) <= 4:
            entries.append(struct.pack("<HHI4s", tag, kind, count, packed))
        else:
            entries.append(struct.pack("<HHII", tag, kind, count, after))
            values.append(packed)
            after += len(packed)
    pieces = [
        b"II*\0",
        struct.pack("<I", directory),
        *parts,
        bytes(position % 2),
        struct.pack("<H", len(entries)),
        *entries,
        bytes(4),
        *values,
    ]
    return b"".join(pieces), directory
