"""The orientation in EXIF."""

from __future__ import annotations

import struct

from beam_job.images.pixels.exif import orientation


def exif_of(*entries: tuple[int, int], count: int | None = None) -> bytes:
    """A block of short numbers by their tags; ``count`` is how many it says that there are."""
    packed = (struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries) if count is None else count) + b"".join(packed)


def test_only_entries_of_the_first_directory_count() -> None:
    others = [(0x0100 + number, 5) for number in range(12)]
    assert orientation(exif_of(*others, (0x0112, 6))) == 6
    assert orientation(exif_of(*others, (0x0112, 6), count=12)) == 1
    assert orientation(exif_of(*others, (0x0112, 6), count=65_535)) == 6
    assert orientation(exif_of(*others, (0x0112, 6))[:-1]) == 1
