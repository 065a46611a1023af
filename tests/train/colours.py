"""Plain pictures of four colours and what they show: learned in seconds."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from train.models.encoders import ENCODERS, Spec

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "white": (250, 250, 250)}
SIZE = 16
# Numbers of a recipe that trains in a second, for --set.
QUICK = [
    "hidden_size=32",
    "min_frequency=1",
    "max_caption_length=8",
    "batch_size=8",
    "epochs=3",
    "learning_rate=0.01",
    "label_smoothing=0.0",
]


def picture(name: str, number: int) -> Image.Image:
    noise = np.random.default_rng(number).integers(-20, 20, (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8))


def write_colours(folder: Path) -> Path:
    """Sixteen pictures with two captions each; one file that is no image, one without a caption; one without words."""
    lines = []
    for name in COLOURS:
        for number in range(4):
            picture(name, number).save(folder / f"{name}-{number}.png")
            lines.append({"image": f"{name}-{number}.png", "captions": [f"a {name} wall", f"the wall is {name}"]})
    (folder / "broken.png").write_bytes(b"")
    lines.append({"image": "broken.png", "captions": ["nothing", "..."]})
    lines.append({"image": "untold.png", "captions": []})
    file = folder / "captions.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def add_tiny_encoder() -> None:
    """``--encoder tiny``: one convolution, and another one that can be fine-tuned."""

    def build(size: tuple[int, int], weights: str | None) -> keras.Model:
        pixels = keras.Input((*size, 3))
        kernel = size[0] // 2
        glorot = keras.initializers.GlorotUniform
        grid = keras.layers.Conv2D(6, kernel, kernel, kernel_initializer=glorot(0), name="grid")(pixels)
        x = keras.layers.BatchNormalization()(grid)
        return keras.Model(pixels, keras.layers.Conv2D(5, 1, kernel_initializer=glorot(1))(x))

    ENCODERS["tiny"] = Spec(build, SIZE, keras.layers.Rescaling(1 / 127.5, -1.0), "grid")


def run_and_kill(command: list[str], when: Callable[[], bool]) -> None:
    """Runs ``train``'s command line in a process of its own and kills it, by SIGKILL, as soon as ``when`` is true."""
    program = "import sys; from tests.train.colours import add_tiny_encoder; from train.cli import main"
    program = f"{program}; add_tiny_encoder(); main(sys.argv[1:])"
    child = subprocess.Popen([sys.executable, "-c", program, *command], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 300
    while not when():
        assert child.poll() is None, "the run was over before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    child.kill()
    child.wait()
