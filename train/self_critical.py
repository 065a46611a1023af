"""Self-critical training: captions drawn at random are made likelier where they beat the greedy caption, by CIDEr.

    history = self_critical(decoder, recipe, features, references, vocabulary, seed=0)

It is the second stage, after teacher forcing has taught the decoder to speak (Rennie et al. 2017,
https://arxiv.org/abs/1612.00563). The encoder's features come from the cache, as in the first.
"""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from beam_job.vocabulary import END, Vocabulary
from train.batches import Features
from train.checkpoint import Checkpoint
from train.cider import Cider
from train.decoder import Decoder
from train.dev import spoken
from train.loop import History, Report, loop
from train.recipe import Recipe
from train.rollout import rollout
from train.text import words


def self_critical(
    decoder: Decoder,
    recipe: Recipe,
    features: Features,
    references: Mapping[int, Sequence[str]],
    vocabulary: Vocabulary,
    *,
    seed: int,
    dev: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda step, measured: None,
) -> History:
    """Trains the decoder in place; an epoch is one look at every image.

    Args:
      decoder: taught by ``fit``, or a model's own.
      recipe: batch size, self-critical epochs and learning rate, patience.
      features: of every image and its views; each look takes one view at random.
      references: captions by image.
      vocabulary: the decoder's.
      seed: of the order, the views and the draws.
      dev, checkpoint, report: see ``train.loop``.

    Returns:
      What was measured; the loss of a step is minus the mean CIDEr of its drawn captions, with
      their end as a word.
    """
    photos = np.array(list(references))
    steps_per_epoch = len(photos) // recipe.batch_size
    if not steps_per_epoch:
        raise ValueError(
            f"{len(photos)} images don't fill a batch of {recipe.batch_size}: add some, or --set batch_size=N."
        )
    # The end counts as a word: otherwise captions that stop in the middle are rewarded, too.
    cider = Cider([[[*words(caption), END] for caption in captions] for captions in references.values()])
    generate = rollout(decoder, vocabulary, recipe.max_caption_length)
    optimizer = keras.optimizers.Adam(recipe.self_critical_learning_rate, global_clipnorm=recipe.clip_norm)
    optimizer.build(decoder.trainable_variables)

    @tf.function(reduce_retracing=True)
    def reinforce(feature_map: tf.Tensor, drawn: tf.Tensor, advantage: tf.Tensor) -> None:
        """``drawn`` int32 [batch, length] without ``<start>``; ``advantage`` float32 [batch]."""
        start = tf.fill([tf.shape(drawn)[0], 1], vocabulary.start_id)
        with tf.GradientTape() as tape:
            # Without dropout, so that the captions have the probability that they were drawn with.
            encoded, state = decoder.bridge(tf.cast(feature_map, tf.float32), training=False)
            logits, _, _ = decoder.words([tf.concat([start, drawn[:, :-1]], 1), state, encoded], training=False)
            surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(drawn, logits)
            real = tf.cast(drawn != vocabulary.pad_id, tf.float32)
            loss = tf.reduce_sum(advantage[:, None] * surprise * real) / tf.reduce_sum(real)
        variables = decoder.trainable_variables
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)

    def rewards(captions: tf.Tensor, chosen: np.ndarray) -> np.ndarray:
        scores = []
        for row, ids in zip(chosen, captions.numpy(), strict=True):
            ended = [END] if vocabulary.end_id in ids else []
            scores.append(cider.score(row, [*spoken(ids, vocabulary), *ended]))
        return np.array(scores, np.float32)

    def step(number: int) -> float:
        epoch, place = divmod(number, steps_per_epoch)
        order = np.random.default_rng([seed, 1, epoch]).permutation(len(photos))
        chosen = order[place * recipe.batch_size : (place + 1) * recipe.batch_size]
        views = np.random.default_rng([seed, 2, number]).integers(features.shape[1], size=len(chosen))
        feature_map = np.stack([features[photos[row], view] for row, view in zip(chosen, views, strict=True)])
        drawn = generate(feature_map, seed=tf.constant([seed, number]))
        reward = rewards(drawn, chosen)
        reinforce(feature_map, drawn, tf.constant(reward - rewards(generate(feature_map), chosen)))
        return -float(np.mean(reward))

    return loop(
        step,
        decoder,
        optimizer,
        epochs=recipe.self_critical_epochs,
        steps_per_epoch=steps_per_epoch,
        patience=recipe.patience,
        dev=dev,
        checkpoint=checkpoint,
        report=report,
    )
