"""PNG: the chunks of the picture are checked and passed to Pillow; of the others only two are used.

Text, XMP, times and other metadata are ignored, even if their checksums are wrong, as in browsers. Colour profiles
(iCCP) and EXIF (eXIf) are used if they are intact.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from beam_job.images.pixels import exif, profiles
from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.picture import Ending, Picture, ReadOptions, check_size, load, reading

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 100_000  # encoders write 8 kB at a time, some less
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE = 3


def read(data: bytes, options: ReadOptions) -> Picture:
    """Decodes a PNG; if it is animated, its still picture.

    Raises:
      ImageError: `corrupt`, `truncated`, `unsupported_format` or `too_many_pixels`.
    """
    chunks, pixels, cut = _chunks(data)
    if b"IHDR" not in chunks:
        raise ImageError("truncated" if cut else "corrupt", "The PNG has no header chunk.")
    width, height, depth, colour_type = _header(chunks[b"IHDR"])
    check_size(width, height, options)
    if not pixels:
        raise ImageError("truncated" if cut else "corrupt", "The PNG has no picture data.")
    if colour_type == _PALETTE and not chunks.get(b"PLTE"):
        raise ImageError("corrupt", "The PNG has no palette, which its pixels need.")
    still: list[bytes | memoryview] = [_SIGNATURE]
    for name in (b"IHDR", b"PLTE", b"tRNS"):
        if name in chunks:
            still += _chunk(name, chunks[name])
    # One chunk for all of the pixels. Nobody looks at its checksum: those of its parts have been compared.
    still += [struct.pack(">I4s", sum(map(len, pixels)), b"IDAT"), *pixels, bytes(4), *_chunk(b"IEND", b"")]
    with reading("PNG"):
        image = PngImagePlugin.PngImageFile(io.BytesIO(b"".join(still)))
    ending = load(image)
    if ending is Ending.BROKEN:
        raise ImageError("corrupt", "The PNG's pixels are damaged.")
    if ending is Ending.CUT and not options.accept_truncated:
        raise ImageError("truncated", "The PNG ends before its picture is complete.")
    profile = profiles.of_png(chunks[b"iCCP"]) if b"iCCP" in chunks else None
    turn = exif.orientation(chunks.get(b"eXIf", b""))
    if depth == 16 and image.mode == "RGB" and "transparency" in image.info:
        lower = PngImagePlugin.PngImageFile(io.BytesIO(b"".join(still)))
        lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]  # reads the second byte of each sample
        load(lower)
        picture = _with_transparent_colour(image, lower)
    else:
        picture = _to_8_bits(image, depth)
    return Picture(picture, width, height, turn, profile, whole=ending is Ending.WHOLE)


def _chunks(data: bytes) -> tuple[dict[bytes, bytes], list[memoryview], bool]:
    """The chunks that matter, the parts of the pixels, and whether the file ends amid a chunk."""
    view = memoryview(data)
    chunks: dict[bytes, bytes] = {}
    pixels: list[memoryview] = []
    position = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            return chunks, pixels, True
        length, name = struct.unpack_from(">I4s", data, position)
        if not (name.isalpha() and name.isascii()):
            if pixels:  # something else stands behind the picture
                return chunks, pixels, True
            raise ImageError("corrupt", "The PNG is damaged: a chunk is missing.")
        body = view[position + 8 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        position += 12 + length
        if name == b"CgBI":
            raise ImageError(
                "unsupported_format", "PNGs in Apple's variant (CgBI) are not supported: convert the image to PNG."
            )
        critical = name[:1].isupper()
        if not critical and name not in (b"tRNS", b"iCCP", b"eXIf"):
            continue
        if len(checksum) < 4:
            if name == b"IDAT":
                pixels.append(body)
            return chunks, pixels, True
        if zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(checksum, "big"):
            if not critical and name != b"tRNS":
                continue
            raise ImageError("corrupt", f"The PNG is damaged: the checksum of its {name.decode()} chunk is wrong.")
        if name == b"IDAT":
            pixels.append(body)
        elif name == b"IEND":
            return chunks, pixels, False
        elif critical and name not in (b"IHDR", b"PLTE"):
            raise ImageError("unsupported_format", "The PNG has an unknown chunk that is required to read it.")
        else:
            chunks.setdefault(name, bytes(body))
    raise ImageError("corrupt", f"The PNG has over {_MAX_CHUNKS:,} chunks; real ones have some thousands.")


def _header(header: bytes) -> tuple[int, int, int, int]:
    """Width, height, bits of a sample, and colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha."""
    if len(header) != 13:
        raise ImageError("corrupt", "The PNG is damaged: its header has the wrong length.")
    width, height, depth, colour_type, compression, prediction, interlace = struct.unpack(">IIBBBBB", header)
    if depth not in _DEPTHS.get(colour_type, ()) or interlace > 1:
        raise ImageError("corrupt", "The PNG is damaged: its header is invalid.")
    if compression or prediction:
        raise ImageError("unsupported_format", "The PNG uses an unsupported compression: save it again as PNG.")
    return width, height, depth, colour_type


def _chunk(name: bytes, content: bytes) -> list[bytes]:
    return [struct.pack(">I4s", len(content), name), content, struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))]


def _with_transparent_colour(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Lays alpha over a picture of 16 bits per sample, of which there are the higher and the lower bytes."""
    transparent = np.ones((upper.height, upper.width), bool)
    for channel, sample in enumerate(upper.info.pop("transparency")):
        transparent &= np.asarray(upper.getchannel(channel)) == sample >> 8
        transparent &= np.asarray(lower.getchannel(channel)) == sample & 255
    upper.putalpha(_alpha(transparent))
    return upper


def _alpha(transparent: npt.NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(np.where(transparent, np.uint8(0), np.uint8(255)))


def _to_8_bits(image: Image.Image, depth: int) -> Image.Image:
    """Pixels of 16-bit grey to 8 bits, and a transparent grey the way Pillow brings pixels of `depth` bits to 8."""
    transparent = image.info.get("transparency")
    if image.mode == "I;16":
        values = np.asarray(image)
        grey = Image.fromarray((values >> 8).astype(np.uint8))
        if transparent is not None:
            grey.putalpha(_alpha(values == transparent))
        return grey
    if transparent is not None and image.mode == "L":
        image.info["transparency"] = transparent * 255 // ((1 << depth) - 1)
    return image
