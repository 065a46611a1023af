"""JPEG: with and without an end marker, what of its segments matters, and what is refused by name."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from beam_job.images.pixels import ImageError, decode
from tests import images
from tests.effort import lines_run
from tests.memory import traced

END = b"\xff\xd9"
WAYS = {
    "sequential": {},
    "progressive": {"progressive": True},
    "optimised": {"optimize": True},
    "restart markers": {"restart_marker_rows": 1},
    "full colours": {"subsampling": 0},
}
TRAILERS = {
    "text": b"made by a telephone, " * 40,
    "samsung": b"\0\0\1\x0a\x0e\0\0\0Image_UTC_Data1700000000000SEFHk\0\0\0\1\0\0\0\0\0\1\x0a$\0\0\0\x24\0\0\0SEFT",
    "film": b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20,
    "another JPEG": images.encode(images.photo(64, 48, seed=5), "JPEG"),
    "zeros": bytes(5000),
}


def refused(data: bytes, **options: bool) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, 32, 32, **options)
    return caught.value.code


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


@pytest.fixture(scope="module", params=WAYS)
def whole(request: pytest.FixtureRequest) -> bytes:
    return images.encode(images.photo(400, 300), "JPEG", quality=85, **WAYS[request.param])


# The end


def test_a_jpeg_without_end_marker_is_whole(whole: bytes) -> None:
    expected = decode(whole, 32, 32).array
    np.testing.assert_array_equal(decode(whole.removesuffix(END), 32, 32).array, expected)


@pytest.mark.parametrize("trailer", TRAILERS)
def test_a_trailer_in_place_of_the_end_marker_changes_nothing(whole: bytes, trailer: str) -> None:
    expected = decode(whole, 32, 32).array
    np.testing.assert_array_equal(decode(whole + TRAILERS[trailer], 32, 32).array, expected)
    np.testing.assert_array_equal(decode(whole.removesuffix(END) + TRAILERS[trailer], 32, 32).array, expected)


def test_a_jpeg_that_is_cut_anywhere_is_truncated(whole: bytes) -> None:
    start = whole.index(b"\xff\xda")
    for end in (*range(start + 20, len(whole) - 40, (len(whole) - start) // 12), len(whole) - 12):
        assert refused(whole[:end]) == "truncated"
        if end > start + 2000:
            assert decode(whole[:end], 32, 32, accept_truncated=True).width == 400


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_whose_last_block_is_missing_behind_a_restart_marker_is_truncated(mode: str) -> None:
    whole = images.encode(images.photo(400, 300).convert(mode), "JPEG", quality=85, restart_marker_blocks=1)
    last = max(whole.rfind(bytes((0xFF, marker))) for marker in range(0xD0, 0xD8))
    assert refused(whole[:last]) == refused(whole[:last] + TRAILERS["text"]) == "truncated"


@pytest.mark.parametrize("trailer", ["text", "samsung", "zeros"])
def test_a_cut_jpeg_is_truncated_whatever_follows(whole: bytes, trailer: str) -> None:
    start = whole.index(b"\xff\xda")
    for share in (0.3, 0.6, 0.8):
        cut = whole[: start + int(share * (len(whole) - start))]
        assert refused(cut + TRAILERS[trailer]) in ("truncated", "corrupt")


def test_a_download_that_broke_off_in_a_file_of_full_length_is_truncated(whole: bytes) -> None:
    for share in (0.5, 0.8, 0.98):
        there = int(share * len(whole))
        assert refused(whole[:there] + bytes(len(whole) - there + 4096)) in ("truncated", "corrupt")


@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"progressive"}))
@pytest.mark.parametrize("behind", [b"", b"trailer", images.encode(images.photo(64, 48, seed=5), "JPEG")])
def test_a_jpeg_that_was_cut_and_given_an_end_marker_is_truncated(way: str, behind: bytes) -> None:
    whole = images.encode(images.photo(400, 300), "JPEG", quality=85, **WAYS[way])
    start = whole.index(b"\xff\xda")
    for share in (0.1, 0.5, 0.9):
        cut = whole[: start + int(share * (len(whole) - start))].rstrip(b"\xff") + END + behind
        assert refused(cut) == "truncated"
        shown = decode(cut, 32, 32, accept_truncated=True).array.astype(int)
        rows = int(32 * share) - 3
        assert np.abs(shown - decode(whole, 32, 32).array)[: max(0, rows)].max(initial=0) <= 1


def test_blocks_that_are_missing_in_the_last_row_do_not_matter() -> None:
    whole = images.encode(images.photo(400, 300), "JPEG", quality=85)
    expected = decode(whole, 32, 32).array.astype(int)
    assert np.abs(decode(whole[:-80] + END, 32, 32).array - expected)[:-2].max() <= 1


@settings(max_examples=300)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from(["L", "RGB", "CMYK"]),
    st.integers(0, 255),
    st.sampled_from([{}, {"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}]),
    st.sampled_from([{}, {"restart_marker_blocks": 1}, {"restart_marker_rows": 1}]),
)
def test_whole_jpegs_of_any_size_are_whole(
    size: tuple[int, int], mode: str, level: int, colours: dict[str, int], restarts: dict[str, int]
) -> None:
    options = {**(colours if mode == "RGB" else {}), **restarts}
    for picture in (images.photo(*size), Image.new("RGB", size, (level,) * 3)):
        found = decode(images.encode(picture.convert(mode), "JPEG", **options), 32, 32)
        assert (found.width, found.height) == size


def test_scans_of_single_colours_without_end_marker() -> None:
    """Not interleaved: the picture is whole with the last colour's scan alone."""
    data = images.encode(images.photo(400, 300), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    assert refused(data[:last]) == "truncated"  # cut between two scans
    assert refused(data[: data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)]) == "truncated"


def test_end_markers_of_a_preview_are_not_the_pictures() -> None:
    preview = images.encode(images.photo(64, 48), "JPEG")
    data = images.encode(images.photo(400, 300), "JPEG")
    with_preview = data[:2] + segment(0xE1, b"Exif\0\0" + preview) + data[2:]
    expected = decode(data, 32, 32).array
    np.testing.assert_array_equal(decode(with_preview.removesuffix(END), 32, 32).array, expected)
    assert refused(with_preview[: len(with_preview) * 3 // 4]) == "truncated"


def test_several_pictures_in_one_file_whose_first_has_no_end_marker() -> None:
    first, second = (images.photo(400, 300, seed=seed) for seed in (1, 2))
    data = images.encode(first, "MPO", save_all=True, append_images=[second])
    boundary = data.index(END + b"\xff\xd8")
    expected = decode(data, 32, 32).array
    np.testing.assert_array_equal(decode(data[:boundary] + data[boundary + 2 :], 32, 32).array, expected)


# Segments


def test_segments_that_make_no_picture_change_nothing() -> None:
    data = images.encode(images.photo(400, 300), "JPEG")
    expected = decode(data, 32, 32).array
    for extra in (
        segment(0xFE, b"a comment"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"),
        segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\xff\xff\xff\xff"),
        segment(0xE2, b"MPF\0broken"),
        segment(0xE0, b"JFXX\0\x10"),
        b"\xff\xff\xff" + segment(0xFE, b"")[1:],
    ):
        np.testing.assert_array_equal(decode(data[:2] + extra + data[2:], 32, 32).array, expected)


def test_segments_without_number_are_refused_at_once() -> None:
    data = images.encode(images.photo(64, 48), "JPEG")
    many = data[:2] + segment(0xFE, b"") * 2_000_000 + data[2:]
    assert refused(many) == "corrupt"
    parts = data[:2] + segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 1500 + data[2:]
    assert lines_run(lambda: decode(parts, 32, 32)) < 100_000


def test_fill_bytes_and_junk_are_passed_in_a_moment() -> None:
    data = images.encode(images.photo(64, 48), "JPEG")
    for junk in (b"\xff" * 5_000_000, b"\xff\0" * 2_000_000):
        assert lines_run(lambda junk=junk: decode(data[:2] + junk + data[2:], 32, 32)) < 1_000


@pytest.mark.parametrize("frame", [0xC3, 0xC5, 0xC7, 0xCB, 0xCF, 0xF7])
def test_frames_that_are_not_read_are_named(frame: int) -> None:
    data = bytearray(images.encode(images.photo(64, 48), "JPEG"))
    data[data.index(b"\xff\xc0") + 1] = frame
    assert refused(bytes(data)) == "unsupported_format"


@pytest.mark.parametrize(("place", "value"), [(4, 12), (9, 2), (9, 5)])
def test_depths_and_colours_that_are_not_read_are_named(place: int, value: int) -> None:
    data = bytearray(images.encode(images.photo(64, 48), "JPEG"))
    data[data.index(b"\xff\xc0") + place] = value
    assert refused(bytes(data)) in ("unsupported_format", "corrupt" if value == 5 else "unsupported_format")


# Orientation


def test_orientation_stands_in_exif_alone() -> None:
    photo = images.photo(400, 300)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<rdf:Description tiff:Orientation='6'/>"
    data = images.encode(photo, "JPEG")
    assert decode(data[:2] + segment(0xE1, xmp) + data[2:], 32, 32).width == 400


def test_orientation_is_read_without_the_rest() -> None:
    """An EXIF block whose other tags point at everything, many times over."""
    entries = [(0x0112, 3, 1, 6), *((tag, 7, 40_000, 0) for tag in range(1000, 5000))]
    block = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries))
    for tag, kind, count, value in entries:
        block += struct.pack(">HHIHH", tag, kind, count, value, 0)
    data = images.encode(images.photo(400, 300), "JPEG")
    with_block = data[:2] + segment(0xE1, block) + data[2:]
    with traced() as peak:
        assert decode(with_block, 32, 32).width == 300
        assert peak() < 5_000_000  # of the 160 MB that its tags add up to
    assert lines_run(lambda: decode(with_block, 32, 32)) < 1_000


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "count", "turned"), [(3, 1, True), (4, 1, True), (3, 2, False), (2, 1, False)])
def test_orientation_of_odd_types(order: str, kind: int, count: int, turned: bool) -> None:
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((6, 0) if kind == 3 else (6,)))
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, count) + value
    data = images.encode(images.photo(400, 300), "JPEG")
    pixels = decode(data[:2] + segment(0xE1, b"Exif\0\0" + block) + data[2:], 32, 32)
    assert pixels.width == (300 if turned else 400)


# What Pillow gets is as good as the file


def test_pixels_are_those_of_the_whole_file() -> None:
    for mode, options in (
        ("RGB", {}),
        ("RGB", {"progressive": True}),
        ("L", {}),
        ("CMYK", {}),
        ("RGB", {"quality": 30}),
    ):
        data = images.encode(images.photo(640, 480).convert(mode), "JPEG", comment=b"hello", **options)
        with Image.open(io.BytesIO(data)) as image:
            image.draft(None, (40, 40))
            box = (0, 0, 640 / (640 // image.width), 480 / (480 // image.height))
            expected = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR, box))
        np.testing.assert_array_equal(decode(data, 32, 32).array, expected)
