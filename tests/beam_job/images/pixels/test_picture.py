"""The limit of pixels."""

from __future__ import annotations

import pytest

from beam_job.images.pixels import ImageError
from beam_job.images.pixels.picture import ReadOptions, check_size


@pytest.mark.parametrize(
    ("bytes_per_pixel", "limit", "why"),
    [(3, 1200, ""), (12, 1200, ""), (13, 1107, " for its format, which takes 13 bytes per pixel"),
     (24, 600, " for its format, which takes 24 bytes per pixel")],
)  # fmt: skip
def test_formats_that_take_more_memory_have_a_lower_limit(bytes_per_pixel: int, limit: int, why: str) -> None:
    check_size(limit, 1, ReadOptions(1200), bytes_per_pixel)
    with pytest.raises(ImageError) as refused:
        check_size(1, limit + 1, ReadOptions(1200), bytes_per_pixel)
    message = f"The image has 1 x {limit + 1} pixels, over the limit of {limit:,}{why}."
    assert (refused.value.code, str(refused.value)) == ("too_many_pixels", message)


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-1, 1)])
def test_a_picture_without_pixels_is_corrupt(width: int, height: int) -> None:
    with pytest.raises(ImageError, match=f"invalid size of {width} x {height} pixels") as refused:
        check_size(width, height, ReadOptions(1200))
    assert refused.value.code == "corrupt"
