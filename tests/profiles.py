"""ICC profiles, made here: displays with other primaries and curves, greys, printers, and broken ones."""

from __future__ import annotations

import itertools
import struct

import numpy as np
from PIL import ImageCms

Matrix = tuple[tuple[float, float, float], ...]
SRGB: Matrix = ((0.4361, 0.3851, 0.1431), (0.2225, 0.7169, 0.0606), (0.0139, 0.0971, 0.7139))
DISPLAY_P3: Matrix = ((0.5151, 0.2920, 0.1571), (0.2412, 0.6922, 0.0666), (-0.0011, 0.0419, 0.7841))
ADOBE_RGB: Matrix = ((0.6097, 0.2053, 0.1492), (0.3111, 0.6257, 0.0632), (0.0195, 0.0609, 0.7446))


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def display(matrix: Matrix, gamma: float, *, version: int = 2, kind: bytes = b"mntr") -> bytes:
    """An RGB profile of primaries (to XYZ under D50, in columns) and a gamma."""
    columns = list(zip(*matrix, strict=True))
    tags = {
        b"wtpt": _xyz(0.9642, 1.0, 0.8249),
        **{name: _xyz(*column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
        **{name: _gamma(gamma) for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    return _profile(tags, kind, b"RGB ", b"XYZ ", version)


def grey(gamma: float) -> bytes:
    return _profile({b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"kTRC": _gamma(gamma)}, b"mntr", b"GRAY", b"XYZ ", 2)


def printer() -> bytes:
    """A CMYK profile of a printer without colours: each ink is a grey, and nobody mistakes it for another."""
    corners = itertools.product((0, 1), repeat=4)
    table = b"".join(
        bytes([round(255 * (1 - (cyan + magenta + yellow) / 4) * (1 - 0.9 * black)), 128, 128])
        for cyan, magenta, yellow, black in corners
    )
    lut = b"mft1" + bytes(4) + struct.pack(">BBBx", 4, 3, 2)
    lut += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut += bytes(range(256)) * 4 + table + bytes(range(256)) * 3
    return _profile({b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"A2B0": lut}, b"prtr", b"CMYK", b"Lab ", 2)


def to_linear_srgb(matrix: Matrix) -> np.ndarray:
    """From linear light of those primaries to that of sRGB's."""
    return np.linalg.inv(np.array(SRGB)) @ np.array(matrix)


def _profile(tags: dict[bytes, bytes], kind: bytes, space: bytes, connection: bytes, version: int) -> bytes:
    tags = {b"desc": _text(version), b"cprt": b"text" + bytes(4) + b"nobody\0", **tags}
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = start + len(body)
    head = struct.pack(">I4sB3x4s4s4s12x4s", size, b"lcms", version, kind, space, connection, b"acsp")
    head = head.ljust(68, b"\0") + struct.pack(">III", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _text(version: int) -> bytes:
    if version >= 4:
        return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 8, 28) + "test".encode("utf-16-be")
    return b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in values))


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma))
