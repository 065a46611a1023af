"""Bytes to pixels: every format and mode, orientation, reduced decoding, threads."""

from __future__ import annotations

import gc
import io
import random
import subprocess
import sys
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from beam_job.images.pixels import ImageError, Pixels, decode, decode_image, file_format
from beam_job.images.pixels.formats import jpeg
from beam_job.images.pixels.picture import Picture
from tests import images
from tests.images import COLOURS, HEIGHT, WIDTH

KINDS = images.kinds()


def assert_colours(pixels: Pixels, colours: Sequence[images.Colour], tolerance: int) -> None:
    np.testing.assert_allclose(images.quadrants(pixels.array), np.asarray(colours), atol=tolerance)


# Formats and modes


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_shows_its_colours(kind: str) -> None:
    data, colours, tolerance = KINDS[kind]
    pixels = decode(data, 36, 40)
    assert (pixels.width, pixels.height) == (WIDTH, HEIGHT)
    assert pixels.array.shape == (36, 40, 3)
    assert pixels.array.dtype == np.uint8
    assert_colours(pixels, colours, tolerance)


def test_heic_is_read_where_its_plug_in_is_installed() -> None:
    pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    data, colours, tolerance = images.heic()
    pixels = decode(data, 36, 40)
    assert (pixels.width, pixels.height) == (WIDTH, HEIGHT)
    assert_colours(pixels, colours, tolerance)


def test_pixels_work_where_pillow_heif_is_not_installed() -> None:
    program = "import sys; sys.modules['pillow_heif'] = None; import beam_job.images.pixels"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


@pytest.mark.parametrize(
    ("mode", "low", "high"), [("F", -1e30, 1e30), ("F", 5.0, 5.0), ("F", -3.0, -3.0), ("I", -(2**31), 2**31 - 1)]
)
def test_extreme_ranges_of_wide_grey_images(mode: str, low: float, high: float) -> None:
    data = images.encode(images.picture([low, high, low, high], mode), "TIFF")
    array = decode(data, 32, 32).array
    if low < high:
        assert_colours(Pixels(array, 0, 0), [images.BLACK, images.WHITE] * 2, 1)


def test_colours_of_invisible_pixels_do_not_bleed() -> None:
    checks = np.zeros((64, 64, 4), np.uint8)
    checks[...] = (0, 255, 0, 0)  # invisible green
    checks[::2, ::2] = (200, 0, 0, 255)
    array = decode(images.encode(Image.fromarray(checks), "PNG"), 8, 8).array
    np.testing.assert_allclose(array[4, 4], (255 - 55 / 4, 255 * 3 / 4, 255 * 3 / 4), atol=3)


# Orientation


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(image_format: str, orientation: int) -> None:
    red, green, blue, grey = COLOURS
    upright = {  # what the reader should see, for the stored picture "red green / blue grey"
        1: (red, green, blue, grey),
        2: (green, red, grey, blue),
        3: (grey, blue, green, red),
        4: (blue, grey, red, green),
        5: (red, blue, green, grey),
        6: (blue, red, grey, green),
        7: (grey, green, blue, red),
        8: (green, grey, red, blue),
    }
    options = {"lossless": True} if image_format == "WEBP" else {"quality": 95} if image_format != "TIFF" else {}
    pixels = decode(images.with_orientation(images.picture(), orientation, image_format, **options), 30, 40)
    assert (pixels.width, pixels.height) == ((WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH))
    assert pixels.array.shape == (30, 40, 3)
    assert_colours(pixels, upright[orientation], 8)


@pytest.mark.parametrize("orientation", [0, 9, 200])
def test_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    assert_colours(decode(images.with_orientation(images.picture(), orientation), 32, 32), COLOURS, 8)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_no_reason_to_refuse() -> None:
    for exif in (b"Exif\x00\x00", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00" + bytes(range(64))):
        assert_colours(decode(images.encode(images.picture(), "JPEG", exif=exif), 32, 32), COLOURS, 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_after_the_reduction_equals_turning_before(orientation: int) -> None:
    photo = images.photo(600, 400)
    data = images.with_orientation(photo, orientation, "PNG")
    turned = decode(data, 48, 64).array.astype(int)
    with Image.open(io.BytesIO(data)) as file:
        before = np.asarray(ImageOps.exif_transpose(file).resize((64, 48), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(turned - before).max() <= 1


# Reduced decoding of large JPEGs


@pytest.mark.parametrize("size", [(1000, 750), (449, 448), (448, 448), (447, 447), (3001, 501)])
def test_reduced_decoding_looks_the_same(size: tuple[int, int]) -> None:
    data = images.encode(images.photo(*size), "JPEG", quality=90)
    reduced = decode(data, 56, 56)
    with Image.open(io.BytesIO(data)) as file:
        full = np.asarray(file.resize((56, 56), Image.Resampling.BILINEAR)).astype(int)
    assert (reduced.width, reduced.height) == size
    assert np.abs(reduced.array - full).mean() < 1.5


@pytest.mark.parametrize(("model", "scale"), [(56, 8), (120, 8), (121, 4), (240, 4), (241, 2), (480, 2), (481, 1)])
def test_a_large_jpeg_is_decoded_at_the_least_scale_that_is_enough(
    model: int, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is what makes it fast: `python -m benchmarks --only decoding` measures how fast."""
    read = []

    def keep(*arguments: Any) -> Picture:
        read.append(jpeg.read(*arguments))
        return read[0]

    monkeypatch.setitem(decode_image._READERS, file_format.JPEG, keep)
    decode(images.encode(images.photo(1600, 1200), "JPEG"), model, model)
    assert read[0].image.size == (1600 // scale, 1200 // scale)


# Sizes and threads


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (2, 3)])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF"])
def test_odd_sizes(width: int, height: int, image_format: str) -> None:
    pixels = decode(images.encode(Image.new("RGB", (width, height), (200, 100, 50)), image_format), 24, 20)
    assert (pixels.width, pixels.height) == (width, height)
    np.testing.assert_allclose(pixels.array, np.broadcast_to((200, 100, 50), (24, 20, 3)), atol=6)


def test_many_threads_give_the_same_pixels() -> None:
    expected = {kind: decode(made.data, 32, 32).array for kind, made in KINDS.items()}
    work = list(KINDS) * 4
    random.Random(0).shuffle(work)
    with ThreadPoolExecutor(8) as pool:
        for kind, pixels in zip(work, pool.map(lambda kind: decode(KINDS[kind].data, 32, 32), work), strict=True):
            np.testing.assert_array_equal(pixels.array, expected[kind], err_msg=kind)


def test_a_refused_file_is_not_kept_until_garbage_is_collected() -> None:
    gc.disable()
    try:
        with pytest.raises(ImageError) as refused:
            decode(b"\x89PNG\r\n\x1a\n" + bytes(1000), 32, 32)
        error = weakref.ref(refused.value)
        del refused
        assert error() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000", "AVIF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)], ids=str)
def test_pictures_of_one_pixel_in_a_row(name, size):
    file = io.BytesIO()
    Image.new("RGB", size, (200, 40, 90)).save(file, name)
    found = decode(file.getvalue(), 2, 3)
    assert (found.width, found.height) == size
    assert np.abs(found.array.astype(int) - (200, 40, 90)).max() < 9


@pytest.mark.parametrize(("height", "width"), [(0, 10), (10, 0), (-1, 10)])
def test_a_size_of_nothing_is_the_callers_mistake(height: int, width: int) -> None:
    with pytest.raises(ValueError, match="at least 1") as caught:
        decode(KINDS["png-rgb"].data, height, width)
    assert not isinstance(caught.value, ImageError)
    assert decode(KINDS["png-rgb"].data, 1, 1).array.shape == (1, 1, 3)
