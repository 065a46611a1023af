"""The stateful decoder loop in one TensorFlow graph: beam search; greedy decoding and sampling have width 1.

At each step every hypothesis proposes tokens (the most probable ones, or a sampled one), and the best extended
hypotheses are kept. A hypothesis that proposes ``<end>`` from within the first ``width`` places is finished and leaves
the beam; a row is done when ``width`` hypotheses have finished. With width 1 this is exactly greedy decoding.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import tensorflow as tf

# (tokens int32 [n], state [n, units], features [rows, positions, width]) -> (logits [n, vocabulary], state, attention),
# where each row has n / rows hypotheses, one after the other
Step: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
# (logits [n, vocabulary] with masked tokens at -inf, step, which of the rows given at the start are here)
# -> (the proposed tokens' logits [n, c], their ids [n, c])
Propose: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
# (logits [n, vocabulary], tokens so far int32 [n, max_length], step) -> logits with masked tokens at -inf
Mask: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
# (logits [n, vocabulary], tokens so far int32 [n, max_length], which of the rows given at the start are here)
# -> logits that stand for the model's own from there on
Favour: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


# Rows leave in such numbers that what is left is a multiple of this. On CPUs a row's exponentials would otherwise
# depend on how many rows there are: those of the last few elements of an array, which do not fill a vector register of
# 16 floats, are rounded differently.
ROWS = 16


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


class _Beam(NamedTuple):
    """What the loop carries from step to step. Rows that are done leave it now and then; ``row`` says which are here.

    Attributes:
      now: the step, from 0.
      row: int32 [here], each row's place among all.
      done: bool [here].
      last: int32 [here, beam], the latest token of each living hypothesis.
      state: float32 [here * beam, units].
      features: float32 [here, positions, width of the features].
      alive: living hypotheses [here, beam, ...]; their ``rank`` is their log-probability.
      finished: the best captions so far [here, width, ...].
      found: captions of the rows that have left [rows, width, ...].
    """

    now: tf.Tensor
    row: tf.Tensor
    done: tf.Tensor
    last: tf.Tensor
    state: tf.Tensor
    features: tf.Tensor
    alive: Hypotheses
    finished: Hypotheses
    found: Hypotheses


def search(
    step: Step,
    propose: Propose,
    mask: Mask,
    features: tf.Tensor,
    state: tf.Tensor,
    rows_in_use: tf.Tensor,
    *,
    vocabulary_size: int,
    width: int,
    max_length: int,
    length_penalty: float,
    start_id: int,
    end_id: int,
    pad_id: int,
    favour: Favour | None = None,
    keep_attention: bool = False,
) -> Hypotheses:
    """Runs the decoder until every row is done or has ``max_length`` tokens.

    Args:
      features: float32 [rows, positions, width of the features], from *encode*.
      state: float32 [rows, units], the decoder's initial state.
      rows_in_use: bool [rows]; the others are padding of the batch and are done from the start.
      max_length: maximum number of tokens, including ``<end>``.
      favour: changes the logits by which captions are found and ranked; log-probabilities stay the model's own.

    Returns:
      The ``width`` best captions of each row. One that reached ``max_length`` without ``<end>`` keeps every word.
    """
    rows, units = state.shape
    positions = features.shape[1] if keep_attention else 0
    # All hypotheses of a row are equal before the first step, so that one is enough, unless the vocabulary is too small
    # for one to fill the beam.
    held = 1 if vocabulary_size >= 2 * width else width

    def empty(places: int) -> Hypotheses:
        return Hypotheses(
            rank=tf.fill([rows, places], -math.inf),
            tokens=tf.fill([rows, places, max_length], pad_id),
            log_probs=tf.zeros([rows, places, max_length]),
            attention=tf.zeros([rows, places, max_length, positions]),
        )

    def unfinished(beam: _Beam) -> tf.Tensor:
        return (beam.now < max_length) & ~tf.reduce_all(beam.done)

    def advance(beam: _Beam) -> tuple[_Beam]:
        beam = _without_the_done(beam)
        now, alive = beam.now, beam.alive
        logits, state, attention = step(tf.reshape(beam.last, [-1]), beam.state, beam.features)
        tokens = tf.reshape(alive.tokens, [-1, max_length])
        favoured = favour(logits, tokens, beam.row) if favour else logits
        values, ids = propose(mask(favoured, tokens, now), now, beam.row)
        gains = values - tf.reduce_logsumexp(favoured, axis=-1, keepdims=True)
        log_probs = gains
        if favour:
            log_probs = tf.gather(logits, ids, batch_dims=1) - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
        candidates = ids.shape[-1]
        here, beams = tf.unstack(tf.shape(alive.rank))

        def by_row(values: tf.Tensor) -> tf.Tensor:
            """From [here * beam, n] to [here, beam * n]."""
            return tf.reshape(values, [here, beams * values.shape[-1]])

        totals = by_row(tf.reshape(alive.rank, [-1, 1]) + gains)
        totals, order = tf.math.top_k(totals, min(2 * width, held * candidates))
        parents = order // candidates
        words = _pick(by_row(ids), order)
        place = tf.range(max_length) == now
        seen = tf.reshape(attention[:, :positions], [here, beams, positions])
        extended = Hypotheses(
            rank=totals,
            tokens=tf.where(place, words[..., None], _pick(alive.tokens, parents)),
            log_probs=tf.where(place, _pick(by_row(log_probs), order)[..., None], _pick(alive.log_probs, parents)),
            attention=tf.where(place[:, None], _pick(seen, parents)[:, :, None], _pick(alive.attention, parents)),
        )

        ends = words == end_id
        ending = ends & (tf.range(words.shape[-1]) < width) & ~beam.done[:, None]
        ended = extended._replace(rank=tf.where(ending, _rank(totals, now + 1, length_penalty), -math.inf))
        finished, _ = _best(_beside(beam.finished, ended), width)
        alive, order = _best(extended._replace(rank=tf.where(ends, -math.inf, totals)), width)

        enough = tf.reduce_all(finished.rank > -math.inf, axis=1)
        dead_end = tf.reduce_all(alive.rank == -math.inf, axis=1)
        state = _pick(tf.reshape(state, [here, beams, units]), _pick(parents, order))
        return (
            beam._replace(
                now=now + 1,
                done=beam.done | enough | dead_end,
                last=_pick(words, order),
                state=tf.reshape(state, [-1, units]),
                alive=alive,
                finished=finished,
            ),
        )

    start = _Beam(
        now=tf.constant(0),
        row=tf.range(rows),
        done=~rows_in_use,
        last=tf.fill([rows, held], start_id),
        state=tf.repeat(state, held, axis=0),
        features=features,
        alive=empty(held)._replace(rank=tf.constant([[0.0] + [-math.inf] * (held - 1)] * rows)),
        finished=empty(width),
        found=empty(width),
    )
    (beam,) = tf.while_loop(unfinished, advance, [start], shape_invariants=[_shapes(start)])
    rank = tf.where(beam.done[:, None], -math.inf, _rank(beam.alive.rank, beam.now, length_penalty))
    best, _ = _best(_beside(beam.finished, beam.alive._replace(rank=rank)), width)
    return _put(beam.found, beam.row, best)


def _without_the_done(beam: _Beam) -> _Beam:
    """The beam without rows that are done, as many as can leave."""
    rows = tf.shape(beam.done)[0]
    unfinished = tf.math.count_nonzero(~beam.done, dtype=tf.int32)
    stay = tf.maximum((unfinished + ROWS - 1) // ROWS, 1) * ROWS

    def leave() -> _Beam:
        order = tf.argsort(tf.cast(beam.done, tf.int32), stable=True)
        staying, leaving = order[:stay], order[stay:]
        by_row = tf.reshape(beam.state, [rows, -1, beam.state.shape[1]])
        return _Beam(
            now=beam.now,
            **{name: tf.gather(getattr(beam, name), staying) for name in ("row", "done", "last", "features")},
            state=tf.reshape(tf.gather(by_row, staying), [-1, beam.state.shape[1]]),
            alive=_take(beam.alive, staying),
            finished=_take(beam.finished, staying),
            found=_put(beam.found, tf.gather(beam.row, leaving), _take(beam.finished, leaving)),
        )

    return tf.cond(stay < rows, leave, lambda: beam)


def _shapes(start: _Beam) -> _Beam:
    """The loop's shapes: rows leave, and the beam widens at the first step."""
    changing = {"now": 0, "found": 0, "last": 2, "alive": 2}

    def shapes(name: str, part: tf.Tensor | Hypotheses) -> tf.TensorShape | Hypotheses:
        free = changing.get(name, 1)
        return tf.nest.map_structure(lambda tensor: tf.TensorShape([None] * free + tensor.shape[free:].as_list()), part)

    return _Beam(**{name: shapes(name, part) for name, part in start._asdict().items()})


def _take(hypotheses: Hypotheses, rows: tf.Tensor) -> Hypotheses:
    return Hypotheses(*(tf.gather(part, rows) for part in hypotheses))


def _put(found: Hypotheses, rows: tf.Tensor, hypotheses: Hypotheses) -> Hypotheses:
    def put(tensor: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        if 0 in tensor.shape:  # no attention is kept; nothing can't be scattered
            return tensor
        return tf.tensor_scatter_nd_update(tensor, rows[:, None], values)

    return Hypotheses(*map(put, found, hypotheses))


def _rank(log_prob: tf.Tensor, length: tf.Tensor, length_penalty: float) -> tf.Tensor:
    return log_prob / tf.cast(length, tf.float32) ** length_penalty


def _pick(values: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    return tf.gather(values, order, batch_dims=1)


def _beside(left: Hypotheses, right: Hypotheses) -> Hypotheses:
    return Hypotheses(*(tf.concat(pair, axis=1) for pair in zip(left, right, strict=True)))


def _best(candidates: Hypotheses, count: int) -> tuple[Hypotheses, tf.Tensor]:
    rank, order = tf.math.top_k(candidates.rank, count)
    return Hypotheses(rank, *(_pick(part, order) for part in candidates[1:])), order
