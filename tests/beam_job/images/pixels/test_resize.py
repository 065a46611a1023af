"""Pictures that were read, at the model's size: greys by their profile."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from beam_job.images.pixels.picture import Picture
from beam_job.images.pixels.resize import resize
from tests import images, profiles


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_greys_are_shown_by_their_profile_with_transparency_and_without(mode: str) -> None:
    grey = Image.new("L", (8, 8), 55)
    picture = Picture(grey if mode == "L" else grey.convert("LA"), 8, 8, profile=profiles.grey(1.0))
    assert np.abs(resize(picture, 2, 3).array.astype(int) - 128).max() <= 2


def test_colours_with_transparency_are_shown_by_their_profile() -> None:
    image = images.picture([(55, 55, 55, 255)] * 4, "RGBA")
    picture = Picture(image, *image.size, profile=profiles.display(profiles.SRGB, 1.0))
    assert np.abs(resize(picture, 2, 3).array.astype(int) - 128).max() <= 2
