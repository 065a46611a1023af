"""The stateful decoder loop in one TensorFlow graph: beam search; greedy decoding and sampling have width 1.

At each step every hypothesis proposes tokens (the most probable ones, or a sampled one), and the best extended
hypotheses are kept. A hypothesis that proposes ``<end>`` from within the first ``width`` places is finished and leaves
the beam; a row is done when ``width`` hypotheses have finished. With width 1 this is exactly greedy decoding.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

# (tokens int32 [n], state [n, units], features [n, positions, width]) -> (logits [n, vocabulary], state, attention)
Step: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
# (logits [n, vocabulary] with masked tokens at -inf, step) -> (the proposed tokens' logits [n, c], their ids [n, c])
Propose: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
# (logits [n, vocabulary], tokens so far int32 [n, max_length], step) -> logits with masked tokens at -inf
Mask: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


class Hypotheses(NamedTuple):
    """Captions of each row, best first; unused places have the rank -inf.

    Attributes:
      rank: float32 [rows, width], log-probability / tokens ** length_penalty.
      tokens: int32 [rows, width, max_length], ``<end>`` included where the caption ended, then padding.
      log_probs: float32 [rows, width, max_length], each token's log-probability, then zeros.
      attention: float32 [rows, width, max_length, positions], or [rows, width, max_length, 0] where not asked for.
    """

    rank: tf.Tensor
    tokens: tf.Tensor
    log_probs: tf.Tensor
    attention: tf.Tensor


def search(
    step: Step,
    propose: Propose,
    mask: Mask,
    features: tf.Tensor,
    state: tf.Tensor,
    rows_in_use: tf.Tensor,
    *,
    width: int,
    max_length: int,
    length_penalty: float,
    start_id: int,
    end_id: int,
    pad_id: int,
    keep_attention: bool = False,
) -> Hypotheses:
    """Runs the decoder until every row is done or has ``max_length`` tokens.

    Args:
      features: float32 [rows, positions, width of the features], from *encode*.
      state: float32 [rows, units], the decoder's initial state.
      rows_in_use: bool [rows]; the others are padding of the batch and are done from the start.
      max_length: maximum number of tokens, including ``<end>``.

    Returns:
      The ``width`` best captions of each row. One that reached ``max_length`` without ``<end>`` keeps every word.
    """
    rows = features.shape[0]
    positions = features.shape[1] if keep_attention else 0
    features = tf.repeat(features, width, axis=0)
    state = tf.repeat(state, width, axis=0)

    none = Hypotheses(
        rank=tf.fill([rows, width], -math.inf),
        tokens=tf.fill([rows, width, max_length], pad_id),
        log_probs=tf.zeros([rows, width, max_length]),
        attention=tf.zeros([rows, width, max_length, positions]),
    )
    # The beam starts as one empty hypothesis; `rank` of the living ones is their log-probability.
    alive = none._replace(rank=tf.repeat([[0.0] + [-math.inf] * (width - 1)], rows, axis=0))

    def unfinished(now: tf.Tensor, done: tf.Tensor, *_: Any) -> tf.Tensor:
        return (now < max_length) & ~tf.reduce_all(done)

    def advance(
        now: tf.Tensor, done: tf.Tensor, last: tf.Tensor, state: tf.Tensor, alive: Hypotheses, finished: Hypotheses
    ) -> tuple[tf.Tensor | Hypotheses, ...]:
        logits, state, attention = step(tf.reshape(last, [-1]), state, features)
        values, ids = propose(mask(logits, tf.reshape(alive.tokens, [-1, max_length]), now), now)
        log_probs = values - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
        candidates = ids.shape[-1]
        log_probs = tf.reshape(log_probs, [rows, width * candidates])
        totals = tf.repeat(alive.rank, candidates, axis=1) + log_probs

        totals, order = tf.math.top_k(totals, min(2 * width, width * candidates))
        parents = order // candidates
        words = _pick(tf.reshape(ids, [rows, width * candidates]), order)
        here = tf.range(max_length) == now
        extended = Hypotheses(
            rank=totals,
            tokens=tf.where(here, words[..., None], _pick(alive.tokens, parents)),
            log_probs=tf.where(here, _pick(log_probs, order)[..., None], _pick(alive.log_probs, parents)),
            attention=tf.where(
                here[:, None],
                _pick(tf.reshape(attention, [rows, width, -1])[..., :positions], parents)[:, :, None],
                _pick(alive.attention, parents),
            ),
        )

        ends = words == end_id
        ending = ends & (tf.range(words.shape[-1]) < width) & ~done[:, None]
        ended = extended._replace(rank=tf.where(ending, _rank(totals, now + 1, length_penalty), -math.inf))
        finished, _ = _best(_beside(finished, ended), width)
        alive, order = _best(extended._replace(rank=tf.where(ends, -math.inf, totals)), width)

        enough = tf.reduce_all(finished.rank > -math.inf, axis=1)
        dead_end = tf.reduce_all(alive.rank == -math.inf, axis=1)
        state = tf.reshape(state, [rows, width, state.shape[-1]])
        state = tf.reshape(_pick(state, _pick(parents, order)), [rows * width, state.shape[-1]])
        return now + 1, done | enough | dead_end, _pick(words, order), state, alive, finished

    start = (tf.constant(0), ~rows_in_use, tf.fill([rows, width], start_id), state, alive, none)
    now, done, _, _, alive, finished = tf.while_loop(unfinished, advance, start)
    cut_off = alive._replace(rank=tf.where(done[:, None], -math.inf, _rank(alive.rank, now, length_penalty)))
    return _best(_beside(finished, cut_off), width)[0]


def _rank(log_prob: tf.Tensor, length: tf.Tensor, length_penalty: float) -> tf.Tensor:
    return log_prob / tf.cast(length, tf.float32) ** length_penalty


def _pick(values: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    return tf.gather(values, order, batch_dims=1)


def _beside(left: Hypotheses, right: Hypotheses) -> Hypotheses:
    return Hypotheses(*(tf.concat(pair, axis=1) for pair in zip(left, right, strict=True)))


def _best(candidates: Hypotheses, count: int) -> tuple[Hypotheses, tf.Tensor]:
    rank, order = tf.math.top_k(candidates.rank, count)
    return Hypotheses(rank, *(_pick(part, order) for part in candidates[1:])), order
