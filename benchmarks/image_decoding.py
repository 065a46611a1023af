"""Decoding JPEGs of 0.3, 2 and 12 megapixels to model size: the job's way against decoding them in full."""

import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

from beam_job.captioner import Captioner
from beam_job.pixels import decode
from benchmarks.measurement import Measurement, seconds
from benchmarks.photographs import photographs

SIZES = {"0.3 megapixels": (640, 480), "2 megapixels": (1632, 1224), "12 megapixels": (4000, 3000)}
GROUP = "Decoding a JPEG to model size"
RATIOS = "Decoding, ratios"


def decode_in_full(data: bytes, height: int, width: int) -> np.ndarray:
    """Every pixel is decoded, then the picture is resized in the same way as the job's."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def measure(folder: Path, captioner: Captioner, photos: int, rounds: int) -> list[Measurement]:
    """CPU milliseconds an image of each size, and the share of images that get the same caption either way."""
    found = []
    size = captioner.model.manifest.image
    for name, source in SIZES.items():
        same = []
        ours: list[float] = []
        theirs: list[float] = []
        for number, path in enumerate(photographs(folder / name, photos, source)):
            data = path.read_bytes()
            if number < rounds:
                ours.append(seconds(time.thread_time, lambda: decode(data, size.height, size.width)))  # noqa: B023
                theirs.append(seconds(time.thread_time, lambda: decode_in_full(data, size.height, size.width)))  # noqa: B023
            both = [decode(data, size.height, size.width).array, decode_in_full(data, size.height, size.width)]
            reduced, full = (captioner.caption([pixels], [path.name])[0][0] for pixels in both)
            same.append(reduced.tokens == full.tokens)
            path.unlink()
        reduced_ms = Measurement(GROUP, f"{name}, the job", "ms of CPU", [1000 * each for each in ours])
        full_ms = Measurement(GROUP, f"{name}, in full", "ms of CPU", [1000 * each for each in theirs])
        times = full_ms.over(reduced_ms, RATIOS, ">= 4" if name.startswith("12") else "")
        equal = Measurement(RATIOS, f"{name}: share of the same captions", "", [sum(same) / len(same)])
        found += [reduced_ms, full_ms, times, equal]
    return found
