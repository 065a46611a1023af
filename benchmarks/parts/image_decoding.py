"""Decoding JPEGs of 0.3, 2 and 12 megapixels to model size: the job's way against decoding them in full.

What a reduced scale saves is the inverse cosine transform, colours and resizing; every bit of the file has still to be
read. So the gain depends on the file's size, and the largest photographs come smooth, with grain and with much of it.
Each is decoded once more with a colour profile, which is applied to the picture of the model's size.
"""

import io
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from beam_job.images.pixels import decode
from beam_job.model.captioner import Captioner
from beam_job.records import NoCaption
from benchmarks.figures.measurement import Measurement, seconds
from benchmarks.inputs.photographs import photographs
from tests.profiles import DISPLAY_P3, display

LARGEST = (4000, 3000)
KINDS = (((640, 480), 3.0), ((1632, 1224), 3.0), (LARGEST, 1.0), (LARGEST, 2.0), (LARGEST, 3.0))
GROUP = "Decoding a JPEG to model size"
RATIOS = "Decoding, ratios"


def decode_in_full(data: bytes, height: int, width: int) -> np.ndarray:
    """Every pixel is decoded, then the picture is resized in the same way as the job's."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def with_profile(data: bytes) -> bytes:
    """The same file, with the colour profile that telephones write."""
    content = b"ICC_PROFILE\0\1\1" + display(DISPLAY_P3, gamma=2.2)
    return data[:2] + b"\xff\xe2" + (2 + len(content)).to_bytes(2, "big") + content + data[2:]


def read_only(data: bytes) -> None:
    """The file is read at an eighth of its scale: entropy decoding, which no scale spares, and hardly anything else."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, (image.width // 8, image.height // 8))
        image.load()


def caption(captioner: Captioner, pixels: np.ndarray, uri: str) -> Sequence[str] | NoCaption:
    """The words of an image's best caption."""
    (found,) = captioner.caption([pixels], [uri])
    return found if isinstance(found, NoCaption) else found[0].tokens


def measure(folder: Path, captioner: Captioner, photos: int, rounds: int, sources: Sequence[Path]) -> list[Measurement]:
    """CPU milliseconds an image of each kind, and the share of images that get the same caption either way."""
    found = []
    image = captioner.model.manifest.image
    for size, grain in KINDS:
        same = []
        ours: list[float] = []
        theirs: list[float] = []
        least: list[float] = []
        profiled: list[float] = []
        megabytes: list[float] = []
        for number, path in enumerate(photographs(folder / "photographs", photos, size, grain=grain, sources=sources)):
            data = path.read_bytes()
            megabytes.append(len(data) / 1e6)
            if number < rounds:
                ours.append(seconds(time.thread_time, lambda: decode(data, image.height, image.width)))  # noqa: B023
                theirs.append(seconds(time.thread_time, lambda: decode_in_full(data, image.height, image.width)))  # noqa: B023
                wide = with_profile(data)
                profiled.append(seconds(time.thread_time, lambda: decode(wide, image.height, image.width)))  # noqa: B023
                if size == LARGEST:
                    least.append(seconds(time.thread_time, lambda: read_only(data)))  # noqa: B023
            both = [decode(data, image.height, image.width).array, decode_in_full(data, image.height, image.width)]
            reduced, full = (caption(captioner, pixels, path.name) for pixels in both)
            same.append(reduced == full)
            path.unlink()
        name = f"{size[0] * size[1] / 1e6:.1f} megapixels, {statistics.median(megabytes):.1f} MB"
        reduced_ms = Measurement(GROUP, f"{name}, the job", "ms of CPU", [1000 * each for each in ours])
        full_ms = Measurement(GROUP, f"{name}, in full", "ms of CPU", [1000 * each for each in theirs])
        profiled_ms = Measurement(GROUP, f"{name}, in Display P3", "ms of CPU", [1000 * each for each in profiled])
        times = full_ms.over(reduced_ms, RATIOS, ">= 4" if size == LARGEST else "")
        equal = Measurement(RATIOS, f"{name}: share of the same captions", "", [sum(same) / len(same)])
        found += [reduced_ms, full_ms, profiled_ms, times, profiled_ms.over(reduced_ms, RATIOS), equal]
        if size == LARGEST:
            floor = Measurement(GROUP, f"{name}, read at an eighth", "ms of CPU", [1000 * each for each in least])
            found += [floor, floor.over(reduced_ms, RATIOS)]
    return found
