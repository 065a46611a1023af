"""Fine-tuning: the last stages of the encoder are trained with the decoder, the stages before them stay frozen.

    trunk, tail = split(encoder)            # cache the outputs of trunk.model
    tuned = with_tail(decoder, tail)        # train this one on the trunk's features
    export("model", encoder, decoder, ...)  # encoder and decoder share the trained layers

The trunk's outputs for an image never change, so they are cached like those of a frozen encoder, and a step of training
runs the last stages only. Both parts share their layers with the encoder.
"""

from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers

from train.models.classifier import Classifier
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
      before: a copy of the tail, which stays as it is.
    """

    trunk: Encoder
    tail: keras.Model | None
    before: keras.Model | None = None


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
    before = keras.models.clone_model(tail)
    before.set_weights(tail.get_weights())
    before.trainable = False
    return SplitEncoder(trunk, tail, before)


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


def with_tail(
    decoder: Decoder, tail: keras.Model, before: keras.Model | None = None, classifier: Classifier | None = None
) -> Decoder:
    """The same decoder for the trunk's features: the tail becomes the first part of its bridge, and trainable.

    With the encoder's ``classifier`` and the tail as it was ``before``, the decoder has a ``labelled`` bridge too.
    """
    tail.trainable = True
    seen = keras.Input(tail.input_shape[1:])
    feature_map = _AsInUse(tail)(seen)
    encoded = decoder.bridge(feature_map)
    labelled = None
    if before and classifier:
        labelled = keras.Model(seen, [*encoded, _LabelLoss(classifier)(_AsInUse(before)(seen), feature_map)])
    bridge = keras.Model(seen, encoded, name="tuned_bridge")
    return Decoder(bridge, decoder.network, tuple(tail.trainable_variables), labelled)


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


class _LabelLoss(layers.Layer):
    """The divergence in nats of the classifier's probabilities from what they were before training, float32 [batch].

    Takes the feature map before training and the one now. To keep what a network could do while it learns something
    else is from Li and Hoiem 2016, https://arxiv.org/abs/1606.09282.
    """

    def __init__(self, classifier: Classifier):
        super().__init__()
        self.kernel, self.bias = classifier.down @ classifier.up, classifier.bias

    def call(self, before: tf.Tensor, now: tf.Tensor) -> tf.Tensor:
        said, says = (
            tf.nn.log_softmax(tf.matmul(tf.reduce_mean(feature_map, axis=1), self.kernel) + self.bias)
            for feature_map in (tf.stop_gradient(before), now)
        )
        return tf.reduce_sum(tf.exp(said) * (said - says), axis=-1)
