"""TIFFs whose pixels are compressed, as JPEG or as fax among others."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from beam_job.images.pixels import ImageError, decode
from tests import images, tiffs
from tests.tiffs import tiff


@pytest.mark.parametrize(
    "compression", [6, 9, 10, 32766, 32771, 32809, 33003, 34676, 34677, 34712, 34887, 50001, 50002]
)
def test_compressions_that_are_not_read_are_named(compression: int) -> None:
    data = tiff(np.asarray(images.photo(40, 36)), 2, more={259: (3, [compression])})
    with pytest.raises(ImageError, match=f"compression {compression}") as refused:
        decode(data, 36, 40)
    assert refused.value.code == "unsupported_format"


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
@pytest.mark.parametrize("strip_size", [None, 2048])
def test_jpeg_inside(mode: str, strip_size: int | None) -> None:
    photo = images.photo(96, 80)
    options = {"strip_size": strip_size} if strip_size else {}
    data = images.encode(photo.convert(mode), "TIFF", compression="jpeg", quality=95, **options)
    expected = np.asarray(photo.convert(mode).convert("RGB")).astype(int)
    assert np.abs(decode(data, 80, 96).array - expected).mean() < 8


def test_the_order_of_bits_says_nothing_of_jpeg() -> None:
    photo = images.photo(96, 80)
    tags = {256: (4, [96]), 257: (4, [80]), 258: (3, [8] * 3), 259: (3, [7]), 262: (3, [6]), 277: (3, [3])}
    jpeg = images.encode(photo, "JPEG", quality=95, subsampling=0)
    found = decode(tiffs.assembled([({**tags, 266: (3, [2]), 530: (3, [1, 1])}, [jpeg], False)]), 80, 96).array
    assert np.abs(found - np.asarray(photo).astype(int)).mean() < 8


def test_one_strip_whose_length_is_not_said() -> None:
    samples = np.asarray(images.photo(40, 36))
    for compression in (tiffs.NONE, tiffs.DEFLATE, tiffs.PACKBITS):
        data = tiffs.tiff(samples, 2, compression=compression, more={279: (4, [0])})
        np.testing.assert_array_equal(decode(data, 36, 40).array, samples)


def test_one_strip_whose_length_is_not_said_and_whose_start_has_16_bits() -> None:
    samples = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    data = tiffs.tiff(samples, 2, compression=tiffs.DEFLATE, more={273: (3, [8]), 279: (4, [0])})
    assert len(data) > 1 << 16
    np.testing.assert_array_equal(decode(data, 160, 160).array, samples)


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_fax_inside(compression: str, white_is_zero: bool) -> None:
    picture = images.picture([0, 255, 255, 0], "1")
    data = images.encode(picture, "TIFF", compression=compression, tiffinfo={262: 0 if white_is_zero else 1})
    with Image.open(io.BytesIO(data)) as written:
        photometric = written.tag_v2[262]
    shown = [images.BLACK, images.WHITE, images.WHITE, images.BLACK]
    assert photometric == (0 if white_is_zero else 1)
    np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), shown, atol=2)


@pytest.mark.parametrize("compression", [2, 3, 4])
@pytest.mark.parametrize(("bits", "samples"), [(8, 1), (1, 3), (8, 3)])
def test_fax_is_read_where_a_pixel_is_one_bit_alone(compression: int, bits: int, samples: int) -> None:
    picture = np.zeros((36, 40, samples), np.uint8)
    data = tiff(picture, 2 if samples == 3 else 1, bits=bits, more={259: (3, [compression])})
    with pytest.raises(ImageError, match="fax compression of such samples") as refused:
        decode(data, 36, 40)
    assert refused.value.code == "unsupported_format"
