"""One training run, from data sets to the exported model directory."""

import os
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from beam_job.model_directory import Manifest
from beam_job.vocabulary import Vocabulary
from train.batches import Batches
from train.captions import DataSet
from train.decoder import build_decoder
from train.encoders import Encoder
from train.export import export
from train.features import FeatureCache
from train.fit import fit
from train.progress import Progress
from train.recipe import Recipe
from train.text import build_vocabulary, words


class Captions(NamedTuple):
    """What the decoder learns to say: ``images`` int [captions] indexes the images, ``tokens`` holds each one's ids."""

    images: np.ndarray
    tokens: list[list[int]]


def train(
    data_sets: Sequence[DataSet],
    encoder: Encoder,
    recipe: Recipe,
    output: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str],
    seed: int,
    licence: str,
) -> Manifest:
    """Trains the recipe's decoder on the encoder's features and exports both.

    Args:
      data_sets: what to learn from.
      encoder: frozen.
      recipe: what to build and how to train it.
      output: the model directory to write.
      cache: directory of the feature caches.
      seed: of the weights, the order and dropout.
      licence: for the manifest.

    Returns:
      The manifest of the exported model.
    """
    start = time.time()
    vocabulary = build_vocabulary(
        (caption for data in data_sets for example in data.examples for caption in example.captions),
        recipe.vocabulary_size,
        recipe.least_frequency,
    )
    images = [example.image for data in data_sets for example in data.examples]
    features = FeatureCache(cache, encoder, images, mirrored=recipe.mirrored)
    _say(f"{len(images):,} images, {len(vocabulary):,} tokens")
    _say(f"the features of {features.missing:,} images are not cached yet: {features.missing_bytes / 1e9:.2f} GB")
    features.fill(report=Progress("features", "images", len(images), len(images) - features.missing))
    for index, why in features.broken.items():
        _say(f"left out: {images[index]}: {why}")

    captions = encode_captions(data_sets, vocabulary, recipe, left_out=features.broken)
    batches = Batches(features, *captions, pad_id=vocabulary.pad_id, batch_size=recipe.batch_size, seed=seed)
    keras.utils.set_random_seed(seed)  # here, so that the decoder's weights do not depend on what was built before
    tf.config.experimental.enable_op_determinism()
    decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(vocabulary))
    progress = Progress("training", "steps", recipe.epochs * batches.steps_per_epoch)
    losses = fit(
        decoder,
        recipe,
        batches,
        pad_id=vocabulary.pad_id,
        report=lambda step, loss: progress(step, f"epoch {step / batches.steps_per_epoch:.2f} loss {loss:.3f}"),
    )
    training = {
        "data_sets": [{"name": data.name, "images": len(data.examples), "weight": data.weight} for data in data_sets],
        "images_left_out": len(features.broken),
        "captions_per_epoch": len(captions.tokens),
        "recipe": asdict(recipe),
        "seed": seed,
        "loss_by_epoch": [round(loss, 4) for loss in losses],
        "seconds": round(time.time() - start),
        "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "pillow")},
    }
    return export(output, encoder, decoder, vocabulary, recipe, training=training, metrics={}, licence=licence)


def encode_captions(
    data_sets: Sequence[DataSet], vocabulary: Vocabulary, recipe: Recipe, left_out: Collection[int] = ()
) -> Captions:
    """The captions as ids from ``<start>`` to ``<end>``, those of weighty data sets several times.

    ``left_out`` holds indices of images, counted through all data sets, whose captions are not used.
    """
    images, tokens, image = [], [], -1
    for data in data_sets:
        for example in data.examples:
            image += 1
            if image in left_out:
                continue
            for caption in example.captions[: recipe.captions_per_image]:
                ids = vocabulary.encode(words(caption)[: recipe.max_caption_length - 1])
                images += data.weight * [image]
                tokens += data.weight * [[vocabulary.start_id, *ids, vocabulary.end_id]]
    return Captions(np.array(images), tokens)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
