"""Logits processing: a bonus for words, masks for tokens that must not come next, and candidates among the others."""

import math
from collections.abc import Sequence

import tensorflow as tf

from beam_job.model.search import Favour, Mask, Propose

_BLOCK = 32


def favour_words(ids: tf.Tensor, bonus: tf.Tensor) -> Favour:
    """Adds a bonus to the logits of a row's words, for each hypothesis until it has one of them.

    Args:
      ids: int32 [rows, words].
      bonus: float32 [rows, words]; 0 for a place without a word.
    """

    def favour(logits: tf.Tensor, tokens: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        hypotheses = tf.shape(logits)[0]
        each = hypotheses // tf.shape(rows)[0]
        words, more = (tf.repeat(tf.gather(values, rows), each, axis=0) for values in (ids, bonus))
        named = (tokens[:, :, None] == words[:, None]) & (more[:, None] > 0)
        more = tf.where(tf.reduce_any(named, axis=[1, 2])[:, None], 0.0, more)
        return tf.tensor_scatter_nd_add(logits, _places(words), more)

    return favour


def mask_tokens(never: Sequence[int], end_id: int, *, min_length: int = 1, no_repeat_ngram: int = 0) -> Mask:
    """Masks the ids ``never``, ``<end>`` before ``min_length`` words, and the repetition of an n-gram."""

    def mask(logits: tf.Tensor, tokens: tf.Tensor, now: tf.Tensor) -> tf.Tensor:
        rows = tf.shape(logits)[0]
        always = tf.constant([*never, end_id], tf.int32)
        early = tf.where(now < min_length, -math.inf, math.inf)
        shape = [rows, len(never) + 1]
        ids = [tf.broadcast_to(always, shape)]
        most = [tf.broadcast_to(tf.stack([-math.inf] * len(never) + [early]), shape)]
        if 0 < no_repeat_ngram <= tokens.shape[1]:
            ids.append(tokens[:, no_repeat_ngram - 1 :])
            most.append(tf.where(_repeats(tokens, now, no_repeat_ngram), -math.inf, math.inf))
        masked = tf.concat(ids, axis=1)
        return tf.tensor_scatter_nd_min(logits, _places(masked), tf.concat(most, axis=1))  # one pass over the logits

    return mask


def likeliest(count: int) -> Propose:
    """Proposes the ``count`` most probable tokens."""

    def propose(logits: tf.Tensor, now: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return top_k(logits, min(count, logits.shape[-1]))

    return propose


def top_k(values: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """As ``tf.math.top_k``, and faster for a few of thousands: the largest are in the blocks with the largest maxima.

    Args:
      values: float32 [n, places].
      count: how many of each row, at most ``places``.
    """
    places = values.shape[-1]
    blocks = -(-places // _BLOCK)
    if blocks <= 2 * count:
        return tf.math.top_k(values, count)
    padded = tf.pad(values, [[0, 0], [0, blocks * _BLOCK - places]], constant_values=-math.inf)
    by_block = tf.reshape(padded, [-1, blocks, _BLOCK])
    # In the order of their places, so that of equal values the first one counts, as in ``tf.math.top_k``.
    best = tf.sort(tf.math.top_k(tf.reduce_max(by_block, axis=-1), count).indices, axis=-1)
    largest, found = tf.math.top_k(tf.reshape(tf.gather(by_block, best, batch_dims=1), [-1, count * _BLOCK]), count)
    return largest, tf.gather(best, found // _BLOCK, batch_dims=1) * _BLOCK + found % _BLOCK


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


def _places(ids: tf.Tensor) -> tf.Tensor:
    """Where the ids of each row, int32 [n, k], are among logits [n, vocabulary]: row and column, int32 [n, k, 2]."""
    rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, None], tf.shape(ids))
    return tf.stack([rows, ids], axis=-1)


def _repeats(tokens: tf.Tensor, now: tf.Tensor, n: int) -> tf.Tensor:
    """Bool [rows, max_length - n + 1]: whether the token ``n - 1`` places later would repeat an n-gram of
    ``tokens[:, :now]``."""
    max_length = tokens.shape[1]
    windows = max_length - n + 1
    complete = tf.range(n - 1, max_length) < now  # the n-gram that ends at this place
    rows = tf.shape(tokens)[0]
    seen = tf.broadcast_to(complete, [rows, windows])
    for offset in range(n - 1):
        suffix = tf.gather(tokens, tf.maximum(now - (n - 1) + offset, 0), axis=1)
        seen &= tokens[:, offset : offset + windows] == suffix[:, None]
    return seen
