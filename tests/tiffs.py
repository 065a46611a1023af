"""TIFF files by hand: samples of every kind, depth, order and compression, as no one library writes them all."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, LZMA = 1, 5, 8, 32946, 32773, 34925
COMPRESSIONS = (NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, LZMA)
_FORMS = {"u": 1, "i": 2, "f": 3, "c": 6}

Tags = Mapping[int, tuple[int, Sequence[int]] | bytes]


def tiff(
    samples: npt.NDArray[np.generic],
    photometric: int,
    *,
    bits: int | None = None,
    order: str = "<",
    planar: bool = False,
    compression: int = NONE,
    predictor: int = 1,
    tile: tuple[int, int] | None = None,
    rows_per_strip: int | None = None,
    extra: Sequence[int] = (),
    reversed_bits: bool = False,
    more: Tags | None = None,
) -> bytes:
    """One picture.

    Args:
      samples: [height, width, samples of a pixel], of the type that the file is to have.
      bits: of a sample; those of the type if left out.
      order: of bytes, < or >.
      tile: width and height.
      extra: what the samples beyond the colours are.
      more: further tags, or others than those that follow from the rest: type and values, or bytes.
    """
    height, width, count = samples.shape
    bits = bits or 8 * samples.dtype.itemsize
    planes = [samples[..., [sample]] for sample in range(count)] if planar else [samples]
    segment_width, segment_height = tile or (width, rows_per_strip or height)
    segments = []
    for plane in planes:
        for top in range(0, height, segment_height):
            for left in range(0, width, segment_width):
                part = plane[top : top + segment_height, left : left + segment_width]
                if tile:
                    missing = segment_height - part.shape[0], segment_width - part.shape[1]
                    part = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)))
                packed = _packed(part, bits, order, predictor)
                compressed = _compressed(packed, compression)
                segments.append(_turned(compressed) if reversed_bits else compressed)
    tags: dict[int, tuple[int, Sequence[int]] | bytes] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * count),
        259: (3, [compression]),
        262: (3, [photometric]),
        266: (3, [2 if reversed_bits else 1]),
        277: (3, [count]),
        284: (3, [2 if planar else 1]),
        317: (3, [predictor]),
        339: (3, [_FORMS[samples.dtype.kind]] * count),
    }
    if extra:
        tags[338] = (3, list(extra))
    if tile:
        tags |= {322: (4, [tile[0]]), 323: (4, [tile[1]])}
    else:
        tags[278] = (4, [segment_height])
    return assembled([({**tags, **(more or {})}, segments, bool(tile))], order)


def assembled(pages: Sequence[tuple[Tags, Sequence[bytes], bool]], order: str = "<") -> bytes:
    """A file of pages: the tags of each, its strips or tiles, and whether they are tiles."""
    data = (b"II*\0" if order == "<" else b"MM\0*") + bytes(4)
    links = [4]
    for given, segments, tiled in pages:
        starts = []
        for segment in segments:
            data += bytes(len(data) % 2)
            starts.append(len(data))
            data += segment
        lengths = list(map(len, segments))
        where = {324: (4, starts), 325: (4, lengths)} if tiled else {273: (4, starts), 279: (4, lengths)}
        data += bytes(len(data) % 2)
        entries = b""
        tags = {**where, **given}
        for tag, value in sorted(tags.items()):
            if isinstance(value, bytes):
                kind, count, packed = 7, len(value), value
            else:
                kind, count = value[0], len(value[1])
                packed = struct.pack(f"{order}{count}{'H' if kind == 3 else 'I'}", *value[1])
            if len(packed) <= 4:
                entries += struct.pack(order + "HHI4s", tag, kind, count, packed)
            else:
                entries += struct.pack(order + "HHII", tag, kind, count, len(data))
                data += packed + bytes(len(packed) % 2)
        data = data[: links[-1]] + struct.pack(order + "I", len(data)) + data[links[-1] + 4 :]
        links.append(len(data) + 2 + len(entries))
        data += struct.pack(order + "H", len(tags)) + entries + bytes(4)
    return data


def _packed(part: npt.NDArray[np.generic], bits: int, order: str, predictor: int) -> bytes:
    height, _, count = part.shape
    if predictor == 2:
        whole = part.view(f"u{part.dtype.itemsize}")
        part = np.concatenate((whole[:, :1], whole[:, 1:] - whole[:, :-1]), axis=1)
    if predictor == 3:
        by_byte = np.ascontiguousarray(part.astype(part.dtype.newbyteorder(">"))).view(np.uint8)
        row = by_byte.reshape(height, -1, part.dtype.itemsize).swapaxes(1, 2).reshape(height, -1, count)
        return np.concatenate((row[:, :1], row[:, 1:] - row[:, :-1]), axis=1).tobytes()
    if bits == 8 * part.dtype.itemsize:
        return part.astype(part.dtype.newbyteorder(order)).tobytes()
    values = part.real.reshape(height, -1, 1).astype(np.uint64)
    separate = (values >> np.arange(bits - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
    return np.packbits(separate.astype(np.uint8).reshape(height, -1), axis=-1).tobytes()


def _compressed(data: bytes, compression: int) -> bytes:
    if compression in (DEFLATE, OLD_DEFLATE):
        return zlib.compress(data)
    if compression == LZMA:
        return lzma.compress(data)
    if compression == PACKBITS:
        return b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))
    if compression == LZW:  # every byte as itself, and the table cleared before codes get longer than 9 bits
        codes = []
        for i in range(0, len(data), 200):
            codes += [256, *data[i : i + 200]]
        return np.packbits([code >> bit & 1 for code in [*codes, 257] for bit in range(8, -1, -1)]).tobytes()
    return data


def _turned(data: bytes) -> bytes:
    return np.packbits(np.unpackbits(np.frombuffer(data, np.uint8).reshape(-1, 1), axis=1)[:, ::-1], axis=1).tobytes()
