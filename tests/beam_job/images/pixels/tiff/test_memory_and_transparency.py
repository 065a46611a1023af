"""TIFFs that take more memory than most formats while they are decoded: their limit of pixels is lower."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from beam_job.images.pixels import ImageError, decode
from tests.tiffs import tiff


@pytest.mark.parametrize(
    ("mode", "compression", "bytes_per_pixel"),
    [
        ("RGB", "raw", 7),
        ("RGB", "tiff_lzw", 16),
        ("RGBA", "raw", 8),
        ("RGBA", "tiff_lzw", 20),
        ("L", "tiff_lzw", 8),
        ("F", "raw", 20),
        ("F", "tiff_lzw", 20),
    ],
)
def test_the_limit_of_pixels(mode, compression, bytes_per_pixel):
    file = io.BytesIO()
    image = Image.fromarray(np.arange(120, dtype=np.float32).reshape(10, 12))
    image.convert(mode).save(file, "TIFF", compression=compression)
    least = -(-120 * max(12, bytes_per_pixel) // 12)
    decode(file.getvalue(), 5, 5, max_pixels=least)
    with pytest.raises(ImageError) as caught:
        decode(file.getvalue(), 5, 5, max_pixels=least - 1)
    assert caught.value.code == "too_many_pixels"


@pytest.mark.parametrize(("extra", "expected"), [(1, (255, 127, 127)), (2, (191, 127, 127)), (0, (128, 0, 0))])
def test_colours_that_hold_their_transparency_already_are_not_made_lighter_twice(extra, expected):
    data = tiff(np.full((4, 4, 4), (128, 0, 0, 128), np.uint8), 2, extra=(extra,))
    assert np.abs(decode(data, 4, 4).array.astype(int) - expected).max() <= 1
