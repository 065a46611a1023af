"""The difference hash of a picture."""

import io

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
