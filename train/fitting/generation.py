"""Captions from the Keras models during training, for early stopping and self-critical training.

The job's own captioner has beam search, scores and much else, but wants an exported model; this loop wants none.

    generate = rollout(decoder, vocabulary, longest=40)
    tokens = generate(feature_map)              # the likeliest word at each step
    tokens = generate(feature_map, seed=tf.constant([3, 5]), draws=4)  # four captions each, a word drawn at each step
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from beam_job.model.vocabulary import Vocabulary
from train.models.decoder import Decoder

Generate = Callable[..., tf.Tensor]
_FORBIDDEN = -1e4  # small enough for a probability of zero, and a number in half precision, too


def rollout(decoder: Decoder, vocabulary: Vocabulary, longest: int) -> Generate:
    """Makes a function from feature maps to captions.

    Returns:
      A function of ``feature_map`` [batch, positions, channels] and, for drawn words, of ``seed``, two whole numbers,
      ``draws``, the captions of each image, and ``temperature``, which divides the logits. It returns ids int32
      [batch * draws, at most longest], an image's captions next to each other, ``<end>`` included where one ended,
      padded after it.
    """
    ban = unspeakable(vocabulary)

    @tf.function(reduce_retracing=True)
    def generate(
        feature_map: tf.Tensor, seed: tf.Tensor | None = None, draws: int = 1, temperature: float = 1.0
    ) -> tf.Tensor:
        features, state = decoder.bridge(tf.cast(feature_map, tf.float32), training=False)
        features, state = tf.repeat(features, draws, axis=0), tf.repeat(state, draws, axis=0)
        rows = tf.shape(features)[0]
        token, ended = tf.fill([rows], vocabulary.start_id), tf.zeros([rows], tf.bool)
        chosen = tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[None])
        for step in tf.range(longest):
            logits, state, _ = decoder.words([token[:, None], state, features], training=False)
            logits = logits[:, 0] + ban
            if seed is None:
                token = tf.argmax(logits, axis=-1, output_type=tf.int32)
            else:
                drawn = tf.random.stateless_categorical(
                    logits / temperature, 1, [seed[0], seed[1] * longest + step], tf.int32
                )
                token = drawn[:, 0]
            token = tf.where(ended, vocabulary.pad_id, token)
            ended |= token == vocabulary.end_id
            chosen = chosen.write(step, token)
            if tf.reduce_all(ended):
                break
        return tf.transpose(chosen.stack())

    return generate


def unspeakable(vocabulary: Vocabulary) -> np.ndarray:
    """What to add to logits, float32 [vocabulary], so that no caption holds tokens that are no words."""
    ban = np.zeros(len(vocabulary), np.float32)
    ban[[vocabulary.pad_id, vocabulary.unknown_id, vocabulary.start_id]] = _FORBIDDEN
    return ban
