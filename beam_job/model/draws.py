"""The random numbers of samples: each draw of an image depends on the seed and the image's name, and on nothing else.

uniforms(seed=0, uri="gs://bucket/cat.jpg", draws=range(5), length=40)  # float32 [5, 40]
"""

import hashlib

import numpy as np


def uniforms(seed: int, uri: str, draws: range, length: int) -> np.ndarray:
    """Numbers in [0, 1) for draws of an image, float32 [draws, length]."""
    numbers = np.zeros([len(draws), length], np.float32)
    for place, draw in enumerate(draws):
        name = f"{seed} {draw} {uri}"
        key = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:16], "big")
        numbers[place] = np.random.Generator(np.random.Philox(key=key)).random(length, np.float32)
    return numbers
