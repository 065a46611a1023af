"""PNG: metadata never matters, the picture's own checksums do."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from beam_job.images.pixels import ImageError, decode
from tests import images
from tests.effort import lines_run
from tests.memory import traced

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PHOTO = images.photo(400, 300)
DATA = images.encode(PHOTO, "PNG")


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, position = [], len(SIGNATURE)
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        found.append((name, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return found


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    own = zlib.crc32(content, zlib.crc32(name)) if checksum is None else checksum
    return struct.pack(">I4s", len(content), name) + content + struct.pack(">I", own)


def with_chunks(*extra: bytes, behind: bool = False) -> bytes:
    """DATA with chunks after its header, or behind its pixels."""
    made = [chunk(*each) for each in chunks(DATA)]
    place = -1 if behind else 1
    return SIGNATURE + b"".join([*made[:place], *extra, *made[place:]])


def refused(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, 32, 32)
    return caught.value.code


@pytest.mark.parametrize("behind", [False, True])
def test_metadata_never_matters(behind: bool) -> None:
    expected = decode(DATA, 32, 32).array
    large = zlib.compress(bytes(50_000_000))
    for extra in (
        chunk(b"tEXt", b"Comment\0hello", checksum=1),
        chunk(b"tEXt", b"no zero byte"),
        chunk(b"zTXt", b"Comment\0\0" + large),
        chunk(b"zTXt", b"Comment\0\7broken"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + large),
        chunk(b"iTXt", b"\xff\xfe"),
        chunk(b"iCCP", b"large\0\0" + large),
        chunk(b"iCCP", b"broken\0\0" + b"no zlib"),
        chunk(b"iCCP", b"checksum\0\0", checksum=1),
        chunk(b"iCCP", b""),
        chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
        chunk(b"gAMA", b"\0"),
        chunk(b"pHYs", b""),
        chunk(b"acTL", struct.pack(">II", 2**31, 0)),
        chunk(b"fcTL", bytes(26)),
        chunk(b"tIME", bytes(3)),
        b"".join(chunk(b"tEXt", b"a\0" + bytes(1_000_000)) for _ in range(70)),
    ):
        np.testing.assert_array_equal(decode(with_chunks(extra, behind=behind), 32, 32).array, expected)


def test_a_wrong_checksum_of_the_picture_is_refused() -> None:
    palette = images.encode(PHOTO.quantize(16), "PNG", transparency=3)
    for data, names in ((DATA, (b"IHDR", b"IDAT")), (palette, (b"PLTE", b"tRNS", b"IDAT"))):
        for wrong in names:
            made = [chunk(name, content, 1 if name == wrong else None) for name, content in chunks(data)]
            assert refused(SIGNATURE + b"".join(made)) == "corrupt"


def test_text_of_orientation_is_not_exif() -> None:
    info = PngImagePlugin.PngInfo()
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    info.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>')
    assert decode(images.encode(PHOTO, "PNG", pnginfo=info), 32, 32).width == 400
    assert decode(with_chunks(chunk(b"eXIf", block.removeprefix(b"Exif\0\0"))), 32, 32).width == 300
    assert decode(with_chunks(chunk(b"eXIf", block.removeprefix(b"Exif\0\0")), behind=True), 32, 32).width == 300


def test_a_directory_of_exif_whose_tags_point_at_everything_costs_nothing() -> None:
    entries = b"".join(struct.pack(">HHII", tag, 7, 500_000, 8) for tag in range(1000, 2000))
    block = b"MM\0*\0\0\0\x08" + struct.pack(">H", 1000) + entries
    data = with_chunks(chunk(b"eXIf", block.ljust(500_008, b"\0")))
    with traced() as peak:
        decode(data, 32, 32)
        assert peak() < 5_000_000  # of the 500 MB that its tags add up to
    assert lines_run(lambda: decode(data, 32, 32)) < 4_000  # each tag is looked at once


def test_pixels_in_small_pieces_and_with_others_between() -> None:
    expected = decode(DATA, 32, 32).array
    pixels = b"".join(content for name, content in chunks(DATA) if name == b"IDAT")
    header, end = chunk(*chunks(DATA)[0]), chunk(b"IEND", b"")
    small = b"".join(chunk(b"IDAT", pixels[i : i + 100]) + chunk(b"IDAT", b"") for i in range(0, len(pixels), 100))
    np.testing.assert_array_equal(decode(SIGNATURE + header + small + end, 32, 32).array, expected)
    np.testing.assert_array_equal(decode(SIGNATURE + header + small, 32, 32).array, expected)
    np.testing.assert_array_equal(decode(SIGNATURE + header + small + end + b"trailer" * 99, 32, 32).array, expected)
    np.testing.assert_array_equal(decode(SIGNATURE + header + small + b"\0trailer" * 99, 32, 32).array, expected)


def test_more_chunks_than_any_picture_has_are_refused_at_once() -> None:
    many = with_chunks(chunk(b"tEXt", b"") * 1_000_000)
    assert refused(many) == "corrupt"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (with_chunks(chunk(b"CgBI", b"\x50\0\x20\6")), "unsupported_format"),
        (with_chunks(chunk(b"ABCD", b"")), "unsupported_format"),
        (images.png_file(3, 3, depth=3, colour_type=0, compressed=b""), "corrupt"),
        (images.png_file(3, 3, depth=8, colour_type=5, compressed=b""), "corrupt"),
        (images.png_file(3, 3, depth=8, colour_type=3, compressed=zlib.compress(bytes(12))), "corrupt"),
        (images.png_file(0, 3, depth=8, colour_type=0, compressed=b""), "corrupt"),
        (images.png_file(3, 3, depth=8, colour_type=0, compressed=b"no zlib"), "corrupt"),
        (images.png_file(3, 3, depth=8, colour_type=0, compressed=zlib.compress(bytes(5))), "corrupt"),
    ],
)
def test_what_is_no_png_that_is_read(data: bytes, code: str) -> None:
    found = refused(data)
    assert found == code or (found == "truncated" and code == "corrupt")


def test_a_transparent_colour_of_16_bits_is_compared_with_all_of_them() -> None:
    samples = np.array([[[0x0A0B, 0x1415, 0x1E1F], [0x0A0B, 0x1415, 0x1E00]]] * 2, ">u2")
    compressed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in samples))
    transparent = [(b"tRNS", samples[0, 0].tobytes())]
    data = images.png_file(2, 2, depth=16, colour_type=2, compressed=compressed, extra=transparent)
    assert decode(data, 2, 2).array.tolist() == [[[255, 255, 255], [0x0A, 0x14, 0x1E]]] * 2


def test_an_animation_shows_its_still_picture() -> None:
    frames = [Image.new("RGB", (400, 300), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    data = images.encode(PHOTO, "PNG", save_all=True, append_images=frames, default_image=True)
    np.testing.assert_array_equal(decode(data, 32, 32).array, decode(DATA, 32, 32).array)
