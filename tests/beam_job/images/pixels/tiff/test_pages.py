"""Which picture of a TIFF is meant, and what becomes of one that is cut, damaged or hostile."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from beam_job.images.pixels import ImageError, decode
from tests import images, tiffs
from tests.images import Colour
from tests.tiffs import tiff


def page(size: int, colour: Colour, **tags: int) -> tuple[dict[int, object], list[bytes], bool]:
    """An RGB page of one colour; the names of `tags` are t and a number."""
    given: dict[int, object] = {
        256: (4, [size]),
        257: (4, [size]),
        258: (3, [8, 8, 8]),
        259: (3, [1]),
        262: (3, [2]),
        277: (3, [3]),
        **{int(name[1:]): (4, [value]) for name, value in tags.items()},
    }
    return given, [bytes(colour) * size * size], False


def test_smaller_copies_are_passed_over() -> None:
    for pages in (
        [page(32, images.RED), page(8, images.BLUE, t254=1)],
        [page(8, images.BLUE, t254=1), page(32, images.RED)],
        [page(8, images.BLUE, t255=2), page(32, images.RED)],
        [page(8, images.BLUE, t254=4), page(32, images.RED)],
        [page(32, images.RED), page(64, images.BLUE)],
    ):
        pixels = decode(tiffs.assembled(pages), 8, 8)
        assert (pixels.width, tuple(pixels.array[0, 0])) == (32, images.RED)


def test_raw_files_of_cameras_are_refused() -> None:
    filters = page(64, images.RED, t254=0)
    filters[0].update({262: (3, [32803]), 277: (3, [1]), 258: (3, [14])})
    linear = page(64, images.RED, t254=0)
    linear[0].update({262: (3, [34892])})
    dng = page(64, images.RED)
    dng[0][50706] = (4, [1])
    for pages in (
        [filters],
        [page(8, images.BLUE), filters],
        [page(8, images.BLUE, t254=1), linear],
        [dng],
        [page(8, images.BLUE, t254=1)],  # nothing but a preview
        with_inner(page(8, images.BLUE, t254=1), page(64, images.RED)),
        with_inner(page(8, images.BLUE), page(64, images.RED)),
        with_inner(page(8, images.BLUE), filters),
    ):
        data = pages if isinstance(pages, bytes) else tiffs.assembled(pages)
        with pytest.raises(ImageError, match="Camera raw files") as refused:
            decode(data, 8, 8)
        assert refused.value.code == "unsupported_format"


def test_smaller_copies_inside_change_nothing() -> None:
    data = with_inner(page(32, images.RED), page(8, images.BLUE, t254=1))
    assert decode(data, 8, 8).width == 32


def with_inner(
    outer: tuple[dict[int, object], list[bytes], bool], inner: tuple[dict[int, object], list[bytes], bool]
) -> bytes:
    """A page that has another one below it: written as two, then the link is made a tag."""
    outer[0][330] = (4, [0])
    data = bytearray(tiffs.assembled([outer, inner]))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    link = first + 2 + 12 * count
    for entry in range(first + 2, link, 12):
        if int.from_bytes(data[entry : entry + 2], "little") == 330:
            data[entry + 8 : entry + 12] = data[link : link + 4]
    data[link : link + 4] = bytes(4)
    return bytes(data)


def test_a_chain_that_bites_its_tail_ends() -> None:
    data = bytearray(tiffs.assembled([page(8, images.RED)]))
    first = int.from_bytes(data[4:8], "little")
    data[-4:] = first.to_bytes(4, "little")
    assert decode(bytes(data), 8, 8).width == 8


# What is cut, damaged or hostile


@pytest.mark.parametrize("compression", [tiffs.NONE, tiffs.DEFLATE, tiffs.LZW])
def test_a_cut_tiff_is_truncated_and_shows_what_is_there(compression: int) -> None:
    rgb = np.asarray(images.photo(200, 160))
    data = tiff(rgb, 2, compression=compression, rows_per_strip=10)
    # The strips behind the directory, as those write them whose files can be cut and still be read.
    with Image.open(io.BytesIO(data)) as file:
        starts = np.array(file.tag_v2[273], "<u4")
    front = data.replace(starts.tobytes(), (starts + len(data) - 8).astype("<u4").tobytes()) + data[8:]
    whole = decode(front, 32, 32).array.astype(int)
    np.testing.assert_array_equal(whole, decode(data, 32, 32).array)
    cut = front[: len(data) + (int.from_bytes(data[4:8], "little") * 3 // 4)]
    with pytest.raises(ImageError) as refused:
        decode(cut, 32, 32)
    assert refused.value.code == "truncated"
    shown = decode(cut, 32, 32, accept_truncated=True).array.astype(int)
    assert np.abs(shown[:16] - whole[:16]).max() <= 1


@pytest.mark.parametrize("compression", [tiffs.NONE, tiffs.DEFLATE])
def test_strips_beyond_the_end_are_missing_however_far_they_are(compression: int) -> None:
    size = 72 * 60 * 3
    data = bytearray(images.encode(images.photo(72, 60), "TIFF", big_tiff=True))
    directory = int.from_bytes(data[8:16], "little")
    changed = {259: (3, compression), 273: (16, 2**64 - size), 279: (16, size)}  # together 2**64, 0 in 64 bits
    for entry in range(directory + 8, directory + 8 + 20 * data[directory], 20):
        tag, *_ = struct.unpack_from("<H", data, entry)
        if tag in changed:
            kind, value = changed.pop(tag)
            struct.pack_into("<HHQQ", data, entry, tag, kind, 1, value)
    assert not changed
    for accept_truncated in (False, True):
        with pytest.raises(ImageError) as refused:
            decode(bytes(data), 60, 72, accept_truncated=accept_truncated)
        assert refused.value.code == "truncated"


@pytest.mark.parametrize("tag", [273, 279])
def test_no_strip_stands_before_the_file_or_has_less_than_no_bytes(tag: int) -> None:
    for kind in (8, 9):  # signed
        more = {273: (4, [8]), tag: (kind, [2**32 - 1])}
        data = tiff(np.asarray(images.photo(72, 60)), 2, compression=tiffs.DEFLATE, more=more)
        with pytest.raises(ImageError, match=f"its tag {tag} is invalid") as refused:
            decode(data, 60, 72)
        assert refused.value.code == "corrupt"


def test_tags_that_add_up_to_more_than_the_file_cost_nothing() -> None:
    good, strips, _ = page(8, images.RED)
    bomb = {**good, **{tag: (4, [0] * 5) for tag in range(1000, 3000)}}
    data = bytearray(tiffs.assembled([(bomb, strips, False)]))
    first = int.from_bytes(data[4:8], "little")
    for entry in range(first + 2, first + 2 + 12 * len(bomb), 12):
        if 1000 <= int.from_bytes(data[entry : entry + 2], "little") < 3000:
            data[entry + 4 : entry + 12] = (2**30).to_bytes(4, "little") + bytes(4)
    assert decode(bytes(data), 8, 8).width == 8


def test_tiles_far_larger_than_the_picture_are_refused() -> None:
    data = tiff(np.zeros((8, 8, 1), "u1"), 1, tile=(16, 16), more={322: (4, [26_000]), 323: (4, [26_000])})
    with pytest.raises(ImageError) as refused:
        decode(data, 8, 8)
    assert refused.value.code == "too_many_pixels"


def test_strips_by_the_million_are_refused() -> None:
    data = tiff(np.zeros((8, 8, 1), "u1"), 1, more={257: (4, [1_000_000]), 278: (4, [1])})
    with pytest.raises(ImageError, match="over 300,000 strips") as refused:
        decode(data, 8, 8)
    assert refused.value.code == "corrupt"
