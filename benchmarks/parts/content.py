"""SHA-256 and difference hash, which each record has: their CPU time beside decoding and captioning the photo."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from beam_job.images.pixels import decode
from beam_job.images.pixels.dhash import difference_hash
from beam_job.model.captioner import Captioner
from benchmarks.figures.measurement import Measurement, seconds

GROUP = "SHA-256 and difference hash"


def measure(captioner: Captioner, photos: Sequence[Path], rounds: int) -> list[Measurement]:
    """CPU milliseconds a photo, of all threads, over as many photos as a batch has.

    The job itself takes more for each photo than decoding and captioning, so the share that is given is an upper bound.
    """
    image = captioner.model.manifest.image
    files = [path.read_bytes() for path in photos]
    names = [str(path) for path in photos]

    def decoded() -> list[np.ndarray]:
        return [decode(data, image.height, image.width).array for data in files]

    def described() -> list[tuple[str, str]]:
        return [
            (hashlib.sha256(data).hexdigest(), difference_hash(picture))
            for data, picture in zip(files, pixels, strict=True)
        ]

    pixels = decoded()
    captioner.caption(pixels, names)
    took: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, work in (
            ("decoded", decoded),
            ("both", described),
            ("captioned", lambda: captioner.caption(pixels, names)),
        ):
            took.setdefault(name, []).append(1000 * seconds(time.process_time, work) / len(files))
    found = {name: Measurement(GROUP, name, "ms of CPU", samples) for name, samples in took.items()}
    shares = [both / sum(each) for both, *each in zip(took["both"], *took.values(), strict=True)]
    share = Measurement(f"{GROUP}, share", "of decoding and captioning by the default model", "", shares, "<= 0.02")
    return [*found.values(), share]
