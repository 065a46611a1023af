"""Logits processing: masks for tokens that must not come next, and candidates among the others."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from beam_job.model.search import Mask, Propose


def mask_tokens(
    vocabulary_size: int, never: Sequence[int], end_id: int, *, min_length: int = 1, no_repeat_ngram: int = 0
) -> Mask:
    """Masks the ids ``never``, ``<end>`` before ``min_length`` words, and the repetition of an n-gram."""
    always = np.zeros(vocabulary_size, np.float32)
    always[list(never)] = -math.inf
    early = always.copy()
    early[end_id] = -math.inf

    def mask(logits: tf.Tensor, tokens: tf.Tensor, now: tf.Tensor) -> tf.Tensor:
        logits += tf.where(now < min_length, early, always)
        return _mask_repeats(logits, tokens, now, no_repeat_ngram) if no_repeat_ngram else logits

    return mask


def likeliest(count: int) -> Propose:
    """Proposes the ``count`` most probable tokens."""

    def propose(logits: tf.Tensor, now: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.math.top_k(logits, min(count, logits.shape[-1]))

    return propose


def sampled(uniforms: tf.Tensor, *, temperature: float, top_k: int, top_p: float) -> Propose:
    """Proposes one sampled token, by the inverse of the cumulative distribution.

    Args:
      uniforms: float32 [rows, max_length] in [0, 1): the random number of each row at each step.
      temperature, top_k, top_p: as in ``Decoding``; they apply in this order, top_p to the renormalised top k.
    """

    def propose(logits: tf.Tensor, now: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values, ids = tf.math.top_k(logits, min(top_k, logits.shape[-1]) if top_k else logits.shape[-1])
        probabilities = tf.nn.softmax(values / temperature)
        before = tf.cumsum(probabilities, axis=-1, exclusive=True)
        probabilities = tf.where(before < top_p, probabilities, 0.0)
        cumulative = tf.cumsum(probabilities, axis=-1)
        threshold = tf.gather(uniforms[:, now], rows)[:, None] * cumulative[:, -1:]
        # The last place with any probability is the limit, in case rounding exceeds it.
        last = tf.math.count_nonzero(probabilities, axis=-1, keepdims=True, dtype=tf.int32) - 1
        place = tf.minimum(tf.reduce_sum(tf.cast(cumulative <= threshold, tf.int32), axis=-1, keepdims=True), last)
        return tf.gather(values, place, batch_dims=1), tf.gather(ids, place, batch_dims=1)

    return propose


def _mask_repeats(logits: tf.Tensor, tokens: tf.Tensor, now: tf.Tensor, n: int) -> tf.Tensor:
    """Masks the tokens that would repeat an n-gram of ``tokens[:, :now]``."""
    max_length = tokens.shape[1]
    if n > max_length:
        return logits
    windows = max_length - n + 1
    complete = tf.range(n - 1, max_length) < now  # the n-gram that ends at this place
    rows = tf.shape(tokens)[0]
    seen = tf.repeat(complete[None], rows, axis=0)
    for offset in range(n - 1):
        suffix = tf.gather(tokens, tf.maximum(now - (n - 1) + offset, 0), axis=1)
        seen &= tokens[:, offset : offset + windows] == suffix[:, None]
    places = tf.stack([tf.repeat(tf.range(rows)[:, None], windows, axis=1), tokens[:, n - 1 :]], axis=-1)
    return tf.tensor_scatter_nd_min(logits, places, tf.where(seen, -math.inf, math.inf))
