"""Self-critical training: of the captions drawn for an image, those that beat the others by CIDEr are made likelier.

    history = self_critical(decoder, recipe, features, references, vocabulary, seed=0)

It is the second stage, after teacher forcing has taught the decoder to speak (Rennie et al. 2017,
https://arxiv.org/abs/1612.00563). What a caption has to beat is the mean of the image's other draws instead of the
greedy caption: it costs nothing more and varies less (Luo 2020, https://arxiv.org/abs/2003.09971). The encoder's
features come from the cache, as in the first stage.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from beam_job.model.vocabulary import END, Vocabulary
from train.data.batches import Features
from train.data.text import repeated, words
from train.errors import TrainError
from train.fitting.checkpoint import Checkpoint
from train.fitting.cider import Cider
from train.fitting.generation import rollout, unspeakable
from train.fitting.loop import History, Report, loop
from train.fitting.precision import Precision, adam, mixed
from train.fitting.replicas import part, summed, vary_dropout
from train.fitting.teacher_forcing import learning_rate
from train.fitting.validation import spoken
from train.models.decoder import Decoder
from train.recipe import Recipe


def self_critical(
    decoder: Decoder,
    recipe: Recipe,
    features: Features,
    references: Mapping[int, Sequence[str]],
    vocabulary: Vocabulary,
    *,
    looks: Sequence[int],
    seed: int,
    precision: Precision = "float32",
    strategy: tf.distribute.Strategy | None = None,
    dev: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda step, measured: None,
) -> History:
    """Trains the decoder in place.

    Args:
      decoder: taught by ``fit``, or a model's own.
      recipe: batch size, schedule, patience, and the numbers of this stage.
      features: of every image and its views; each look takes one view at random.
      references: captions by image.
      vocabulary: the decoder's.
      looks: the images of an epoch; those that weigh more are there several times.
      seed: of the order, the views and the draws.
      precision: of the products; see ``train.fitting.precision``.
      strategy: under which the decoder was built; see ``train.fitting.replicas``. Captions are drawn on the first
        device.
      dev, checkpoint, report: see ``train.fitting.loop``.

    Returns:
      What was measured; the loss of a step is minus the mean reward of its drawn captions: their CIDEr, with their end
      as a word, less what repetition costs.
    """
    images, draws = np.array(looks), recipe.self_critical_samples_per_image
    at_once = recipe.batch_size // draws
    steps, temperature = steps_in_epoch(recipe, len(looks)), recipe.self_critical_temperature
    # The end counts as a word: otherwise captions that stop in the middle are rewarded, too.
    cider = Cider(
        [[[*words(caption, recipe.lowercase), END] for caption in captions] for captions in references.values()]
    )
    places = {image: place for place, image in enumerate(references)}
    dropout = recipe.self_critical_dropout
    ban = unspeakable(vocabulary)
    generate = rollout(decoder, vocabulary, recipe.max_caption_length)
    rate = learning_rate(recipe, recipe.self_critical_learning_rate, recipe.self_critical_epochs * steps)
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        optimizer = adam(rate, recipe.clip_norm, precision, slow=decoder.slow, share=recipe.encoder_learning_rate)
        optimizer.build(decoder.trainable_variables)

    @tf.function(reduce_retracing=True)
    def reinforce(feature_map: tf.Tensor, drawn: tf.Tensor, advantage: tf.Tensor) -> tf.Tensor:
        """Takes ``drawn`` int32 [images * draws, length] without ``<start>`` and ``advantage`` float32 [images, draws];
        returns the loss, a scalar."""
        real = tf.cast(drawn != vocabulary.pad_id, tf.float32)
        weights = tf.reshape(advantage, [-1, 1]) * real
        by_image = [tf.reshape(rows, [-1, draws, tf.shape(drawn)[1]]) for rows in (drawn, weights)]

        def learn(*batch: tf.Tensor) -> tf.Tensor:
            feature_map, *by_image = part(*batch)
            if dropout:
                vary_dropout(decoder.variables)
            drawn, weights = (tf.reshape(rows, [-1, tf.shape(rows)[2]]) for rows in by_image)
            start = tf.fill([tf.shape(drawn)[0], 1], vocabulary.start_id)
            with tf.GradientTape() as tape:
                encoded, state = decoder.bridge(tf.cast(feature_map, tf.float32), training=dropout)
                encoded, state = tf.repeat(encoded, draws, axis=0), tf.repeat(state, draws, axis=0)
                logits, _, _ = decoder.words([tf.concat([start, drawn[:, :-1]], 1), state, encoded], training=dropout)
                surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(drawn, (logits + ban) / temperature)
                loss = tf.reduce_sum(weights * surprise) / tf.reduce_sum(real)
                scaled = optimizer.scale_loss(loss)
            variables = decoder.trainable_variables
            optimizer.apply(summed(tape.gradient(scaled, [variable.value for variable in variables])), variables)
            return loss

        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(learn, (feature_map, *by_image)), axis=None)

    def rewards(captions: tf.Tensor, chosen: np.ndarray) -> np.ndarray:
        scores = []
        for image, ids in zip(np.repeat(chosen, draws), captions.numpy(), strict=True):
            told, ended = spoken(ids, vocabulary), [END] if vocabulary.end_id in ids else []
            score = cider.score(places[image], [*told, *ended])
            scores.append(score - recipe.self_critical_repetition_penalty * repeated(told))
        return np.array(scores, np.float32)

    def step(number: int) -> float:
        epoch, place = divmod(number, steps)
        order = np.random.default_rng([seed, 1, epoch]).permutation(images)
        chosen = order[place * at_once : (place + 1) * at_once]
        views = np.random.default_rng([seed, 2, number]).integers(features.shape[1], size=at_once)
        feature_map = np.stack([features[image, view] for image, view in zip(chosen, views, strict=True)])
        drawn = generate(feature_map, seed=tf.constant([seed, number]), draws=draws, temperature=temperature)
        reward = rewards(drawn, chosen)
        by_image = reward.reshape(at_once, draws)
        others = (by_image.sum(axis=1, keepdims=True) - by_image) / (draws - 1)
        loss = float(reinforce(feature_map, drawn, tf.constant(by_image - others)))
        return -float(np.mean(reward)) if math.isfinite(loss) else loss

    with mixed(precision):
        return loop(
            step,
            decoder,
            optimizer,
            epochs=recipe.self_critical_epochs,
            steps_per_epoch=steps,
            patience=recipe.patience,
            taught=True,
            dev=dev,
            checkpoint=checkpoint,
            report=report,
        )


def steps_in_epoch(recipe: Recipe, looks: int) -> int:
    """Each step takes as many images as its drawn captions fill a batch; the last ones of an epoch are left out.

    Raises:
      TrainError: there are too few images.
    """
    samples = recipe.self_critical_samples_per_image
    at_once = recipe.batch_size // samples
    if at_once > looks:
        raise TrainError(
            f"{looks:,} photos are too few for the second stage: a batch of {recipe.batch_size} holds {samples} sampled "
            f"captions for each of {at_once} photos. Set batch_size to {samples * looks} or less, with --set "
            "batch_size=N."
        )
    return looks // at_once
