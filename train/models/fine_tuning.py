"""Fine-tuning: the last stages of the encoder learn with the decoder, what comes before them stays frozen.

    trunk, tail = split(encoder)            # cache what trunk.model says of the images
    tuned = with_tail(decoder, tail)        # train this one on the trunk's features
    export("model", encoder, decoder, ...)  # encoder and decoder now hold what was learned

The trunk's answers for an image never change, so that they are cached as those of a whole frozen encoder are, and a
step of training runs the last stages only. All of them share their layers with the encoder.
"""

from typing import NamedTuple

import keras
from keras import layers

from train.models.decoder import Decoder
from train.models.encoders import ENCODERS, Encoder


class Split(NamedTuple):
    """An encoder in two.

    Attributes:
      trunk: from pixels to what the last stages see, float32 [batch, positions, channels]; stays frozen.
      tail: from there to the encoder's features, float32 [batch, positions, channels]; the last stages.
    """

    trunk: Encoder
    tail: keras.Model


def split(encoder: Encoder) -> Split:
    """Splits an encoder that ``build_encoder`` made; it stays whole, and frozen until ``with_tail``."""
    spec = ENCODERS[encoder.name]
    backbone = next(layer for layer in encoder.model.layers if isinstance(layer, keras.Model))
    between = backbone.get_layer(spec.frozen_to).output

    pixels = keras.Input((encoder.size, encoder.size, 3))
    feature_map = keras.Model(backbone.input, between)(spec.scale(pixels), training=False)
    trunk = keras.Model(pixels, layers.Reshape((-1, between.shape[-1]))(feature_map), name="trunk")

    seen = keras.Input(trunk.output_shape[1:])
    feature_map = keras.Model(between, backbone.output)(layers.Reshape(between.shape[1:])(seen), training=False)
    tail = keras.Model(seen, layers.Reshape((-1, feature_map.shape[-1]))(feature_map), name="tail")
    tail.trainable = False  # as its layers are: Keras does not hand on to them what a model seems to be already
    return Split(Encoder(f"{encoder.name} up to {spec.frozen_to}", encoder.size, trunk), tail)


def with_tail(decoder: Decoder, tail: keras.Model) -> Decoder:
    """The same decoder for the trunk's features: the tail becomes the first part of its bridge, and trainable."""
    tail.trainable = True
    feature_map = keras.Input(tail.input_shape[1:])
    bridge = keras.Model(feature_map, decoder.bridge(_AsInUse(tail)(feature_map)), name="tuned_bridge")
    return Decoder(bridge, decoder.words, tuple(tail.trainable_variables))


class _AsInUse(layers.Layer):
    """A network as it is when it captions: batches are normalised by the fixed statistics, and no path is dropped.

    The statistics of a batch of captions are not those of ImageNet's images, and Keras tells every layer of a model
    alike whether it is training.
    """

    def __init__(self, network: keras.Model):
        super().__init__()
        self.network = network

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return self.network(inputs, training=False)
