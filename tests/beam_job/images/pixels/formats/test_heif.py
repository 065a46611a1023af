"""AVIF: damaged, cut, and with EXIF."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from beam_job.images.pixels import ImageError, decode
from tests import images
from tests.images import COLOURS


def test_an_avif_of_its_full_length_whose_picture_is_damaged_is_corrupt() -> None:
    data = images.encode(images.picture(), "AVIF")
    pixels = data.index(b"mdat") + 4
    for broken, code in ((data[:pixels] + bytes(len(data) - pixels), "corrupt"), (data[:-1], "truncated")):
        with pytest.raises(ImageError) as refused:
            decode(broken, 8, 8)
        assert refused.value.code == code


def test_an_avif_with_exif_shows_its_picture() -> None:
    exif = Image.Exif()
    exif[0x010E] = "what the photo shows"
    data = images.encode(images.picture(), "AVIF", quality=95, exif=exif)
    assert b"what the photo shows" in data
    np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), COLOURS, atol=8)
