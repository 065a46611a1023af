"""The difference hash of a picture."""

import io
from itertools import pairwise

import numpy as np
from PIL import Image

from beam_job.images.pixels.dhash import difference_hash
from tests.photos import photos


def test_the_hash_of_a_picture_hardly_changes_with_its_size_and_quality(tmp_path):
    hashes = []
    for path in photos(tmp_path, 6):
        with Image.open(path) as image:
            picture = image.convert("RGB")
            small = picture.resize((picture.width // 3, picture.height // 3))
            file = io.BytesIO()
            small.save(file, "JPEG", quality=40)
            views = [picture, small, Image.open(file)]
        found = [int(difference_hash(np.asarray(view.resize((224, 224)))), 16) for view in views]
        assert max((found[0] ^ other).bit_count() for other in found) <= 4
        hashes.append(found[0])
    pairs = [(a ^ b).bit_count() for number, a in enumerate(hashes) for b in hashes[:number]]
    assert min(pairs) > 8


def test_bits_say_where_it_gets_lighter_from_left_to_right():
    lighter = np.broadcast_to(np.arange(0, 180, 10, np.uint8)[None, :, None], (16, 18, 3))
    assert difference_hash(lighter) == "f" * 16
    assert difference_hash(lighter[:, ::-1]) == "0" * 16
    assert difference_hash(np.full((16, 18, 3), 99, np.uint8)) == "0" * 16


def test_the_hash_is_that_of_the_mean_grey_of_blocks():
    blocks = np.random.default_rng(0).permutation(72).reshape(8, 9) * 3
    noise = np.random.default_rng(1).integers(-20, 21, (8, 9, 7, 5))
    noise -= noise.mean(axis=(2, 3), keepdims=True).round().astype(int)
    grey = (blocks[:, :, None, None] + noise).clip(0, 255).transpose(0, 2, 1, 3).reshape(56, 45).astype(np.uint8)
    colours = np.asarray(Image.fromarray(grey).convert("RGB"))
    means = grey.reshape(8, 7, 9, 5).mean(axis=(1, 3)).round()
    bits = "".join("01"[int(right > left)] for row in means for left, right in pairwise(row))
    assert difference_hash(colours) == f"{int(bits, 2):016x}"
