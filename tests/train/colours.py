"""Plain pictures of four colours and what they show: learned in seconds."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from train.fitting.checkpoint import Checkpoint
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


def run_and_kill(command: list[str], stage: str, steps: int) -> str:
    """Runs ``train``'s command line in a process of its own, which dies by SIGKILL in the step after so many.

    Returns what it wrote to standard error.
    """
    program = "import sys; from tests.train.colours import add_tiny_encoder, die_after; from train.cli import main"
    program = f"{program}; add_tiny_encoder(); die_after({stage!r}, {steps}); main(sys.argv[1:])"
    root = Path(__file__).parents[2]
    child = subprocess.run([sys.executable, "-c", program, *command], cwd=root, stderr=subprocess.PIPE, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    return child.stderr


def die_after(stage: str, steps: int) -> None:
    """Kills this process when it has made a step more of the stage, and is about to save it."""
    save = Checkpoint.save

    def save_or_die(self: Checkpoint, progress: Mapping[str, Any], arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
        if self.file.name.endswith(f"-{stage}.npz") and len(progress["losses"]) > steps:
            os.kill(os.getpid(), signal.SIGKILL)
        save(self, progress, arrays)

    Checkpoint.save = save_or_die  # type: ignore[method-assign]
