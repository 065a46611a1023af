"""Small files that ask for much: each is refused, or read, before it costs anything."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from beam_job.images.pixels import ImageError, decode
from tests import images

DATA = {name: made.data for name, made in images.kinds().items()}


def code_of(data: bytes) -> str:
    with pytest.raises(ImageError) as refused:
        decode(data, 32, 32)
    return refused.value.code


def gif_with(extension: bytes) -> bytes:
    """A GIF that has these blocks in front of its picture."""
    data = DATA["gif"]
    place = 13 + (3 << (data[10] & 7) + 1)
    return data[:place] + extension + data[place:]


def test_comments_of_a_gif_cost_little() -> None:
    small = gif_with(b"\x21\xfe" + b"\1c" * 900_000 + b"\0")
    many = gif_with(b"\x21\xfe\0" * 3_000_000)
    tiny = gif_with(b"\x21\xfe" + b"\1c" * 5_000_000 + b"\0")
    assert decode(small, 32, 32).width == images.WIDTH
    assert code_of(many) == code_of(tiny) == "corrupt"


def test_what_stands_in_front_of_a_gifs_picture_changes_nothing() -> None:
    transparent = DATA["gif-transparent"]
    expected = decode(transparent, 32, 32).array
    place = 13 + (3 << (transparent[10] & 7) + 1)
    for extension in (b"\x21\xff\x0bNETSCAPE2.0\3\1\0\0\0", b"\x21\xfe\5hello\0", b"\x21\x01\2ab\0"):
        found = decode(transparent[:place] + extension + transparent[place:], 32, 32).array
        assert (found == expected).all()


def test_a_gif_whose_picture_lies_outside_its_canvas() -> None:
    data = bytearray(DATA["gif"])
    struct.pack_into("<HH", data, 6, 1, 1)
    assert decode(bytes(data), 32, 32).width == images.WIDTH
    descriptor = data.index(b",", 13 + (3 << (data[10] & 7) + 1))
    struct.pack_into("<HH", data, descriptor + 1, 60_000, 60_000)
    assert code_of(bytes(data)) == "too_many_pixels"


@pytest.mark.parametrize("transparent", [False, True])
def test_the_canvas_around_a_gifs_picture_is_transparent(transparent: bool) -> None:
    data = bytearray(DATA["gif-transparent" if transparent else "gif"])
    struct.pack_into("<HH", data, 6, 2 * images.WIDTH, 2 * images.HEIGHT)
    descriptor = data.index(struct.pack("<BHHHH", 0x2C, 0, 0, images.WIDTH, images.HEIGHT))
    struct.pack_into("<HH", data, descriptor + 1, images.WIDTH // 2, images.HEIGHT)
    found = decode(bytes(data), 2 * images.HEIGHT, 2 * images.WIDTH)
    assert (found.width, found.height) == (2 * images.WIDTH, 2 * images.HEIGHT)
    array, left = found.array.copy(), images.WIDTH // 2
    inside = array[images.HEIGHT :, left : left + images.WIDTH]
    expected = decode(DATA["gif-transparent" if transparent else "gif"], images.HEIGHT, images.WIDTH).array
    assert (inside == expected).all()
    inside[:] = 255
    assert (array == 255).all()


@pytest.mark.parametrize("kind", ["webp", "webp-lossless", "webp-alpha", "webp-animated"])
def test_a_giant_canvas_of_a_webp_is_refused_from_its_header(kind: str) -> None:
    data = bytearray(DATA[kind])
    if data[12:16] == b"VP8X":
        data[24:30] = b"\xff\x3f\0" * 2
    elif data[12:16] == b"VP8L":
        data[21:25] = ((16382 << 14) | 16382).to_bytes(4, "little")
    else:
        data[26:30] = struct.pack("<HH", 16383, 16383)
    assert refused_without_memory(bytes(data))


def test_a_giant_jpeg_2000_is_refused_from_its_header() -> None:
    data = bytearray(DATA["jpeg2000-codestream"])
    data[8:16] = struct.pack(">II", 12_240, 12_240)
    assert refused_without_memory(bytes(data))


def refused_without_memory(data: bytes) -> bool:
    tracemalloc.start()
    try:
        return code_of(data) == "too_many_pixels" and tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_boxes_and_markers_without_number_are_refused_at_once() -> None:
    boxed, bare = DATA["jpeg2000"], DATA["jpeg2000-codestream"]
    boxes = boxed[:12] + struct.pack(">I4s", 8, b"free") * 1_000_000 + boxed[12:]
    markers = bare[: bare.index(b"\xff\x52")] + b"\xff\x64\0\2" * 1_000_000 + bare[bare.index(b"\xff\x52") :]
    assert code_of(boxes) == code_of(markers) == "corrupt"


@pytest.mark.parametrize("kind", ["jpeg2000", "jpeg2000-codestream", "avif", "avif-animated", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_files_that_end_too_early(kind: str, share: float) -> None:
    data = DATA[kind]
    assert code_of(data[: int(share * len(data))]) == "truncated"


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_heic_that_ends_too_early(share: float) -> None:
    pytest.importorskip("pillow_heif")
    data = images.heic().data
    assert code_of(data[: int(share * len(data))]) == "truncated"


def test_exif_of_an_avif_is_not_read() -> None:
    entries = b"".join(struct.pack(">HHII", tag, 7, 20_000, 8) for tag in range(1000, 3_000))
    block = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 2_000) + entries + bytes(4)
    data = images.encode(images.picture(), "AVIF", quality=95, exif=block)
    tracemalloc.start()
    try:
        assert decode(data, 32, 32).width == images.WIDTH
        assert tracemalloc.get_traced_memory()[1] < 5_000_000  # of the 40 MB that its tags add up to
    finally:
        tracemalloc.stop()
