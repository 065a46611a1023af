"""The random numbers of samples: each draw of an image depends on the seed and the image's name, and on nothing else.

uniforms(seed=0, uris=["gs://bucket/cat.jpg"], draws=range(5), length=40)  # float32 [5, 40]
"""

import hashlib
from collections.abc import Sequence

import numpy as np


def uniforms(seed: int, uris: Sequence[str], draws: range, length: int) -> np.ndarray:
    """Numbers in [0, 1), float32 [images * draws, length]: the numbers of the draws of the first image come first."""
    numbers = np.zeros([len(uris), len(draws), length], np.float32)
    for row, uri in enumerate(uris):
        for place, draw in enumerate(draws):
            name = f"{seed} {draw} {uri}"
            key = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:16], "big")
            numbers[row, place] = np.random.Generator(np.random.Philox(key=key)).random(length, np.float32)
    return numbers.reshape([-1, length])
