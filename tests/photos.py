"""Real photographs for the tests: the samples, and as many different ones as a test wants, cut out of them."""

from pathlib import Path

from PIL import Image

SAMPLES = sorted((Path(__file__).parent.parent / "samples").glob("*.jpg"))


def photos(folder: Path, count: int) -> list[Path]:
    """Writes ``count`` different JPEGs: the samples, then mirrored and narrower cuts of them, then lower qualities."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        sample = SAMPLES[number % len(SAMPLES)]
        turn = number // len(SAMPLES)
        with Image.open(sample) as image:
            image = image.convert("RGB")
            cut = turn % 10 * 12
            image = image.crop((cut, cut // 2, image.width - cut, image.height - cut // 2))
            if turn % 2:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            path = folder / f"{sample.stem}-{turn}.jpg"
            image.save(path, quality=90 - turn // 10)
        made.append(path)
    return made
