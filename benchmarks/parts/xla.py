"""The encoder as the job runs it against the same compiled by XLA, on whatever device there is."""

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import OpenModel
from beam_job.model.graph import bind, read_functions
from benchmarks.figures.measurement import Measurement, seconds


def measure(model: OpenModel, batch_size: int, rounds: int) -> list[Measurement]:
    """Seconds a batch, each way after a first run that compiles it."""
    captioner = Captioner(model, Decoding("greedy"), batch_size)
    image = model.manifest.image
    pixels = np.random.default_rng(0).integers(0, 255, [batch_size, image.height, image.width, 3], np.uint8)
    encode = bind(read_functions(model.directory, model.manifest.format_version)["encode"])
    compiled = tf.function(lambda images: encode(images=images), autograph=False, jit_compile=True)
    images = tf.constant(pixels)
    ways: dict[str, Callable[[], tf.Tensor]] = {
        "as the job runs it": lambda: captioner.encode(list(pixels)).features,
        "compiled by XLA": lambda: compiled(images)["features"],
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way().numpy()
    for _ in range(rounds):
        for name, way in ways.items():
            took[name].append(seconds(time.perf_counter, lambda: way().numpy()))  # noqa: B023
    group = f"A batch through {model.manifest.encoder}, {captioner.device}"
    ours, theirs = (Measurement(group, name, "s", samples) for name, samples in took.items())
    return [ours, theirs, theirs.over(ours, f"{group}, ratios")]
