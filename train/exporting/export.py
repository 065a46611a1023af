"""Exports trained Keras models to the model directory that ``beam_job`` captions with.

    export("model", encoder, decoder, vocabulary, recipe, training={...}, licence="...")

Weights are stored in half precision. This halves the size, and changes captions only where two words are almost equally
probable.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from beam_job.model.answer.quality import Quality
from beam_job.model.directory import write_model
from beam_job.model.graph import from_signature, write_functions
from beam_job.model.manifest import ImageSpec, Manifest
from beam_job.model.vocabulary import Vocabulary
from train.errors import StoppedError
from train.models.decoder import Decoder
from train.models.encoders import Encoder
from train.recipe import Recipe

CLASSIFIER = ("classifier/down", "classifier/up", "classifier/bias")
"""The names under which a classifier's weights are stored."""


class ExportedModel(tf.Module):
    """The two functions of a model, over weights stored in half precision and used in single precision.

    Attributes:
      weights: every weight by a stable name, ``encoder/017/kernel`` for the 18th variable of the encoder: what training
        reads when it starts from an exported model. Those of the encoder's classifier have the names ``CLASSIFIER``.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, recipe: Recipe):
        super().__init__()
        parts = {"encoder": encoder.model, "bridge": decoder.bridge, "decoder": decoder.network}
        self.weights = {
            f"{part}/{index:03d}/{weight.name}": tf.Variable(tf.cast(weight.value, tf.float16), trainable=False)
            for part, model in parts.items()
            for index, weight in enumerate(model.weights)
        }
        classifier = encoder.classifier
        if classifier:
            for name, values in zip(CLASSIFIER, (classifier.down, classifier.up, classifier.bias), strict=True):
                self.weights[name] = tf.Variable(tf.cast(values, tf.float16), trainable=False)
        image = (encoder.size, encoder.size, 3)
        positions = encoder.model.output_shape[1]
        (_, _, width), (_, units) = decoder.bridge.output_shape

        @tf.function(input_signature=[tf.TensorSpec([None, *image], tf.uint8, "images")])
        def encode(images: tf.Tensor) -> dict[str, tf.Tensor]:
            feature_map = self._call("encoder", encoder.model, tf.cast(images, tf.float32))
            features, state = self._call("bridge", decoder.bridge, feature_map)
            encoded = {"features": features, "state": state}
            if classifier:
                down, up, bias = (tf.cast(self.weights[name], tf.float32) for name in CLASSIFIER)
                encoded["labels"] = classifier._replace(down=down, up=up, bias=bias).logits(feature_map)
            return encoded

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.int32, "tokens"),
                tf.TensorSpec([None, units], tf.float32, "state"),
                tf.TensorSpec([None, positions, width], tf.float32, "features"),
            ]
        )
        def decode_step(tokens: tf.Tensor, state: tf.Tensor, features: tf.Tensor) -> dict[str, tf.Tensor]:
            logits, state, attention = self._call("decoder", decoder.network, [tokens[:, None], state, features])
            return {"logits": logits[:, 0], "state": state, "attention": attention[:, 0]}

        self.encode, self.decode_step = encode, decode_step

    def _call(self, part: str, model: keras.Model, inputs: Any) -> Any:
        """Calls a Keras model with the stored weights in place of its own."""
        stored = {
            weight.path: tf.cast(self.weights[f"{part}/{index:03d}/{weight.name}"], tf.float32)
            for index, weight in enumerate(model.weights)
        }
        trainable = [stored[weight.path] for weight in model.trainable_variables]
        fixed = [stored.get(weight.path, weight.value) for weight in model.non_trainable_variables]
        return model.stateless_call(trainable, fixed, inputs, training=False)[0]


def export(
    directory: str | os.PathLike[str],
    encoder: Encoder,
    decoder: Decoder,
    vocabulary: Vocabulary,
    recipe: Recipe,
    *,
    training: Mapping[str, Any],
    licence: str,
    quality: Quality | None = None,
) -> Manifest:
    """Writes the model directory, whole or not at all; see ``beam_job.model.directory`` for its format and errors.

    Args:
      training: how the model was made, for the manifest.
      licence: what the users of the model must know about its training data.
      quality: what the model expects of its captions.

    Raises:
      StoppedError: the disk is full, say.
    """

    def write(folder: Path) -> None:
        module = ExportedModel(encoder, decoder, recipe)
        functions = {"encode": module.encode, "decode_step": module.decode_step}
        try:
            write_functions(
                folder,
                {
                    name: from_signature(function.get_concrete_function(), module.weights)
                    for name, function in functions.items()
                },
            )
        except OSError as error:  # a full disk, say
            raise StoppedError(f"The model can't be written next to {directory}: {error}") from error

    manifest = Manifest(
        image=ImageSpec(encoder.size, encoder.size),
        encoder=encoder.name,
        max_caption_length=recipe.max_caption_length,
        files={},
        training=training,
        licence=licence,
    )
    labels = encoder.classifier.labels if encoder.classifier else None
    return write_model(directory, write, vocabulary, manifest, labels, quality)
