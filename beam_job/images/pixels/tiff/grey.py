"""Converts grey samples of more than 8 bits to 8."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def to_8_bits(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Scales grey samples whose range is unspecified instead of clipping them.

    The range is taken as 0..1 (floats only), 0..255 or 0..65535, the first that contains every value, or otherwise from
    the smallest value to the greatest. Values that are not finite count as 0.

    Args:
      values: integers or floats, of any shape.
    """
    floating = np.issubdtype(values.dtype, np.floating)
    precise = values.dtype.itemsize > 4
    scaled: npt.NDArray[np.floating] = values.astype(np.float64 if precise else np.float32)
    scaled[~np.isfinite(scaled)] = 0
    low, high = float(scaled.min()), float(scaled.max())
    tops = (1, 255, 65535) if floating else (255, 65535)
    top = next((top for top in tops if low >= 0 and high <= top), None)
    if top is not None:
        low, high = 0, top
    scale = 255 / (high - low) if high > low else 0
    with np.errstate(all="ignore"):
        np.multiply(scaled, scale, out=scaled)
        np.subtract(scaled, low * scale, out=scaled)
        return np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled).astype(np.uint8)
