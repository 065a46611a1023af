"""Captions from the Keras models during training, for early stopping and self-critical training.

The job's own captioner has beam search and scores, but needs an exported model; this loop does not.

    generate = make_generate(decoder, vocabulary, longest=40)
    tokens = generate(feature_map)                              # greedy: the likeliest word at each step
    tokens = generate(feature_map, seed=tf.constant([3, 5]), samples=4)  # four sampled captions for each image
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from beam_job.model.vocabulary import Vocabulary
from train.models.decoder import Decoder

Generate = Callable[..., tf.Tensor]
_FORBIDDEN = -1e4  # small enough for a probability of zero, and a number in half precision, too


def make_generate(decoder: Decoder, vocabulary: Vocabulary, longest: int) -> Generate:
    """Makes a function from feature maps to captions.

    Returns:
      A function of ``feature_map`` [batch, positions, channels] and, for sampling, of ``seed``, two whole numbers,
      ``samples``, the captions of each image, and ``temperature``, which divides the logits. It returns ids int32
      [batch * samples, at most longest], the captions of an image next to each other, each with its ``<end>`` if it
      has one, padded after it.
    """
    mask = special_token_mask(vocabulary)

    @tf.function(reduce_retracing=True)
    def generate(
        feature_map: tf.Tensor, seed: tf.Tensor | None = None, samples: int = 1, temperature: float = 1.0
    ) -> tf.Tensor:
        features, state = decoder.bridge(tf.cast(feature_map, tf.float32), training=False)
        features, state = tf.repeat(features, samples, axis=0), tf.repeat(state, samples, axis=0)
        rows = tf.shape(features)[0]
        token, ended = tf.fill([rows], vocabulary.start_id), tf.zeros([rows], tf.bool)
        chosen = tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[None])
        for step in tf.range(longest):
            logits, state, _ = decoder.network([token[:, None], state, features], training=False)
            logits = logits[:, 0] + mask
            if seed is None:
                token = tf.argmax(logits, axis=-1, output_type=tf.int32)
            else:
                sampled = tf.random.stateless_categorical(
                    logits / temperature, 1, [seed[0], seed[1] * longest + step], tf.int32
                )
                token = sampled[:, 0]
            token = tf.where(ended, vocabulary.pad_id, token)
            ended |= token == vocabulary.end_id
            chosen = chosen.write(step, token)
            if tf.reduce_all(ended):
                break
        return tf.transpose(chosen.stack())

    return generate


def special_token_mask(vocabulary: Vocabulary) -> np.ndarray:
    """Added to logits, float32 [vocabulary], so that no caption contains a token that is not a word."""
    mask = np.zeros(len(vocabulary), np.float32)
    mask[[vocabulary.pad_id, vocabulary.unknown_id, vocabulary.start_id]] = _FORBIDDEN
    return mask


def to_words(tokens: Sequence[int], vocabulary: Vocabulary) -> list[str]:
    """The words of ids int [length], before the first ``<end>`` or padding."""
    stops = {vocabulary.end_id, vocabulary.pad_id}
    ends = [place for place, token in enumerate(tokens) if int(token) in stops]
    return vocabulary.decode([int(token) for token in tokens[: ends[0] if ends else None]])
