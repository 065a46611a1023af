"""Photographs of any size and number, made from those in samples/ or from one's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLES = tuple(sorted((Path(__file__).parents[2] / "samples").glob("*.jpg")))
_QUALITY = 90
_GRAIN = 3.0  # an enlarged photo alone has no detail that a decoder could lose


def photographs(
    folder: Path,
    count: int,
    size: tuple[int, int] = (640, 480),
    *,
    grain: float = _GRAIN,
    sources: Sequence[Path] = SAMPLES,
) -> list[Path]:
    """Writes ``count`` different JPEGs of ``size`` (width, height): cuts out of other photos, enlarged, with grain.

    ``grain`` is its standard deviation in grey levels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    made = []
    for number in range(count):
        with Image.open(sources[number % len(sources)]) as sample:
            cut = 3 * (number // len(sources)) % 90
            photo = sample.convert("RGB").crop((cut, cut // 2, sample.width - cut, sample.height - cut // 3))
        enlarged = np.asarray(photo.resize(size, Image.Resampling.LANCZOS), np.float32)
        film = random.normal(0, grain, enlarged.shape[:2]).astype(np.float32)
        grainy = np.clip(enlarged + film[..., None], 0, 255).astype(np.uint8)
        made.append(folder / f"{number:06}.jpg")
        Image.fromarray(grainy).save(made[-1], quality=_QUALITY)
    return made
