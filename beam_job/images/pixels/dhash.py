"""The difference hash of a picture: similar pictures have hashes that differ in few bits."""

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE = 8


def difference_hash(pixels: npt.NDArray[np.uint8]) -> str:
    """64 bits as 16 hex digits: of each two neighbours in 8 rows of 9 grey values, whether the right one is lighter.

    Args:
      pixels: uint8 [height, width, 3], upright.
    """
    small = Image.fromarray(pixels).convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    grey = np.asarray(small)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()
