"""WebP: the size that its header gives, of each kind."""

from __future__ import annotations

import pytest

from beam_job.images.pixels import ImageError, decode
from tests import images
from tests.images import HEIGHT, WIDTH

KINDS = images.kinds()


@pytest.mark.parametrize("kind", ["webp", "webp-lossless", "webp-animated"])
def test_the_pixel_limit_holds_for_every_kind_of_webp(kind: str) -> None:
    with pytest.raises(ImageError, match="64 x 48 pixels, over the limit of 3,071"):
        decode(KINDS[kind].data, 8, 8, max_pixels=WIDTH * HEIGHT * 18 // 12 - 1)
