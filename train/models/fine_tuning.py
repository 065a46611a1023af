"""Fine-tuning: the last stages of the encoder are trained with the decoder, the stages before them stay frozen.

    trunk, tail = split(encoder)            # cache the outputs of trunk.model
    tuned = with_tail(decoder, tail)        # train this one on the trunk's features
    export("model", encoder, decoder, ...)  # encoder and decoder share the trained layers

The trunk's outputs for an image never change, so they are cached like those of a frozen encoder, and a step of training
runs the last stages only. Both parts share their layers with the encoder.
"""

from typing import NamedTuple

import keras
from keras import layers

from train.models.decoder import Decoder
from train.models.encoders import ENCODERS, Encoder
from train.progress import say
from train.recipe import Recipe


class SplitEncoder(NamedTuple):
    """An encoder in two.

    Attributes:
      trunk: from pixels to the input of the last stages, float32 [batch, positions, channels]; stays frozen.
      tail: the last stages: from there to the encoder's features, float32 [batch, positions, channels]. None where the
        whole encoder is frozen: then it is the trunk.
    """

    trunk: Encoder
    tail: keras.Model | None


def split_encoder(encoder: Encoder, recipe: Recipe) -> SplitEncoder:
    """Splits the encoder if the recipe fine-tunes it, and says so."""
    if not recipe.fine_tune_encoder:
        return SplitEncoder(encoder, None)
    trunk, tail = split(encoder)
    _, positions, channels = trunk.model.output_shape
    say(
        f"fine-tuning the last {tail.count_params():,} of the encoder's {encoder.model.count_params():,} weights; the "
        f"cache holds the output of the frozen stages before them, {positions} x {channels} numbers per image"
    )
    return SplitEncoder(trunk, tail)


def split(encoder: Encoder) -> tuple[Encoder, keras.Model]:
    """Trunk and tail of an encoder from ``build_encoder``, which itself stays whole, and frozen until ``with_tail``."""
    spec = ENCODERS[encoder.name]
    backbone = next(layer for layer in encoder.model.layers if isinstance(layer, keras.Model))
    between = backbone.get_layer(spec.frozen_to).output

    pixels = keras.Input((encoder.size, encoder.size, 3))
    feature_map = keras.Model(backbone.input, between)(spec.scale(pixels), training=False)
    trunk = keras.Model(pixels, layers.Reshape((-1, between.shape[-1]))(feature_map), name="trunk")

    seen = keras.Input(trunk.output_shape[1:])
    feature_map = keras.Model(between, backbone.output)(layers.Reshape(between.shape[1:])(seen), training=False)
    tail = keras.Model(seen, layers.Reshape((-1, feature_map.shape[-1]))(feature_map), name="tail")
    tail.trainable = False  # like its layers: Keras passes on only a change of this flag
    return Encoder(f"{encoder.name} up to {spec.frozen_to}", encoder.size, trunk), tail


def with_tail(decoder: Decoder, tail: keras.Model) -> Decoder:
    """The same decoder for the trunk's features: the tail becomes the first part of its bridge, and trainable."""
    tail.trainable = True
    feature_map = keras.Input(tail.input_shape[1:])
    bridge = keras.Model(feature_map, decoder.bridge(_AsInUse(tail)(feature_map)), name="tuned_bridge")
    return Decoder(bridge, decoder.network, tuple(tail.trainable_variables))


class _AsInUse(layers.Layer):
    """A network in inference mode: fixed statistics for batch normalisation, and no dropped paths.

    The statistics of a batch of captions differ from those of ImageNet, and Keras passes ``training`` to every layer
    of a model alike.
    """

    def __init__(self, network: keras.Model):
        super().__init__()
        self.network = network

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return self.network(inputs, training=False)
