"""What the feature cache buys in time, and that it costs no memory.

    python -m benchmarks.training epoch --images 'samples/*.jpg' --count 96
    python -m benchmarks.training memory --images 'samples/*.jpg' --count 300

`epoch` trains the reference recipe's decoder for an epoch on the same images in three ways, one after the other in one
process: the notebook's (InceptionResNetV2 runs over every batch, captions padded to 64, 20,000 logits), the same from
the cache, and this project's (from the cache, captions padded to the longest of the batch, logits for real words only,
in mixed precision where the device has it).
Weights are random: time does not depend on them. `memory` fills caches of COUNT and ten times COUNT images, each in a
process of its own.
"""

import argparse
import glob
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from train.data.captions import Image
from train.data.features import FeatureCache
from train.fitting.precision import best_precision, mixed
from train.fitting.teacher_forcing import caption_loss
from train.models.decoder import build_decoder
from train.models.encoders import Encoder, build_encoder
from train.recipe import REFERENCE

WORDS = 10.5  # mean length of COCO's captions, rounded up to what a batch of similar ones is padded to
NOTEBOOK_VOCABULARY = 20_000  # its output layer has that width whatever the captions hold
FIT = "cached, as `train fit`"
VOCABULARY = 10_000  # about the words that COCO's captions use four times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("epoch", "memory", "fill"), help="`fill` is what `memory` runs.")
    parser.add_argument("--images", required=True, help="Glob of photos; taken again and again up to COUNT.")
    parser.add_argument("--count", type=int, default=96)
    options = parser.parse_args()
    files = sorted(map(Path, glob.glob(options.images)))
    images = [files[number % len(files)] for number in range(options.count)]
    if options.what == "memory":
        memory(options.images, options.count)
    elif options.what == "fill":
        fill(images)
    else:
        epoch(images)


def epoch(images: list[Path]) -> None:
    """Prints a row for each way: seconds for an epoch, milliseconds for an image, how many times faster."""
    encoder = build_encoder("InceptionResNetV2", weights=None)
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(folder, encoder, images)
        began = time.perf_counter()
        cache.fill()
        print(f"filling the cache, once: {time.perf_counter() - began:.1f} s for {len(images)} images")
        rows: list[tuple[str, int, int, Callable[[list[int]], tf.Tensor]]] = [
            (
                "the notebook's way",
                64,
                NOTEBOOK_VOCABULARY,
                lambda chosen: in_the_loop(encoder, [images[index] for index in chosen]),
            ),
            ("cached, the notebook's decoder", 64, NOTEBOOK_VOCABULARY, lambda chosen: cached(cache, chosen)),
            (FIT, round(WORDS) + 2, VOCABULARY, lambda chosen: cached(cache, chosen)),
        ]
        slowest = 0.0
        print("| way | s for an epoch | ms an image | times as fast |\n|---|---|---|---|")
        for name, length, vocabulary, features in rows:
            precision = best_precision() if name == FIT else "float32"
            with mixed(precision):
                seconds = train_epoch(len(images), length, vocabulary, features)
            slowest = slowest or seconds
            figures = f"{seconds:.2f} | {1000 * seconds / len(images):.1f} | {slowest / seconds:.0f}"
            print(f"| {name}, {precision} | {figures} |", flush=True)


def train_epoch(images: int, length: int, vocabulary: int, features: Callable[[list[int]], tf.Tensor]) -> float:
    """Seconds for an epoch of teacher forcing, tracing and a first batch left out."""
    decoder = build_decoder(REFERENCE, 1536, vocabulary)
    optimizer = keras.optimizers.Adam(REFERENCE.learning_rate)
    optimizer.build(decoder.trainable_variables)

    @tf.function
    def step(feature_map: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            projected, state = decoder.bridge(tf.cast(feature_map, tf.float32), training=True)
            logits, _, _ = decoder.network([tokens[:, :-1], state, projected], training=True)
            loss = caption_loss(logits, tokens[:, 1:], 0)
        variables = decoder.trainable_variables
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss

    size = REFERENCE.batch_size
    words = np.zeros((size, length), np.int32)
    words[:, : round(WORDS) + 2] = np.random.default_rng(0).integers(1, VOCABULARY, (size, round(WORDS) + 2))
    batches = [list(range(start, start + size)) for start in range(0, images - size + 1, size)]
    step(features(batches[0]), tf.constant(words))
    began = time.perf_counter()
    for chosen in batches:
        float(step(features(chosen), tf.constant(words)))
    return (time.perf_counter() - began) * images / (len(batches) * size)


def in_the_loop(encoder: Encoder, images: list[Path]) -> tf.Tensor:
    """What the notebook does for every batch of every epoch: decode, resize, encode."""
    pixels = [
        tf.image.resize(tf.io.decode_jpeg(image.read_bytes(), channels=3), (encoder.size, encoder.size))
        for image in images
    ]
    return _encode(encoder.model, tf.stack(pixels))


@tf.function
def _encode(model: keras.Model, pixels: tf.Tensor) -> tf.Tensor:
    return model(pixels, training=False)


def cached(cache: FeatureCache, chosen: list[int]) -> tf.Tensor:
    return tf.constant(np.stack([cache[index, 0] for index in chosen]))


def memory(images: str, count: int) -> None:
    """Prints the peak memory of filling and reading caches of both sizes."""
    for size in (count, 10 * count):
        command = [sys.executable, "-m", "benchmarks.training", "fill", "--images", images, "--count", str(size)]
        subprocess.run(command, check=True)


def fill(images: list[Path]) -> None:
    """Features as large as InceptionResNetV2's of two views, by an encoder that costs next to nothing."""
    pixels = keras.Input((299, 299, 3))
    grid = keras.layers.AveragePooling2D(37)(pixels)
    features = keras.layers.Reshape((64, 1536))(keras.layers.Dense(1536)(grid))
    encoder = Encoder("cheap", 299, keras.Model(pixels, features))
    photos: list[Image] = [*images]
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(folder, encoder, photos, flip=True)
        megabytes = cache.missing_bytes / 1e6
        cache.fill()
        for index in range(len(images)):
            cache[index, 1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(images):,} images, {megabytes:,.0f} MB of features: {peak:,.0f} MiB at most", flush=True)


if __name__ == "__main__":
    main()
