"""Reads the orientation from EXIF, the only part of EXIF that is needed."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4


def orientation(exif: bytes) -> int:
    """1 to 8, as numbered by EXIF; 1 if the block has no orientation or is broken.

    Reads the entries of the first directory, and nothing that they point to.

    Args:
      exif: the block, with or without the `Exif` mark before it.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if start + 2 > len(exif):
        return 1
    (entries,) = struct.unpack_from(order + "H", exif, start)
    directory = exif[start + 2 : start + 2 + 12 * entries]
    directory = directory[: len(directory) // 12 * 12]
    for tag, kind, count, value in struct.iter_unpack(order + "HHI4s", directory):
        if tag == _ORIENTATION:
            if kind not in (_SHORT, _LONG) or count != 1:
                return 1
            (found,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), value)
            return found if 1 <= found <= 8 else 1
    return 1
