"""Self-critical training: increases the probability of an image's sampled captions with a higher CIDEr than its others.

    history = self_critical(decoder, recipe, features, references, vocabulary, seed=0)

It is the second stage, after teacher forcing (Rennie et al. 2017, https://arxiv.org/abs/1612.00563). The baseline is
the mean reward of the image's other samples instead of the greedy caption's reward: it costs nothing extra and has a
lower variance (Luo 2020, https://arxiv.org/abs/2003.09971). The encoder's features come from the cache, as in the first
stage.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from beam_job.messages.quantity import quantity
from beam_job.model.vocabulary import END, Vocabulary
from train.data.batches import Features
from train.data.text import repeated, words
from train.errors import TrainError
from train.fitting.checkpoint import Checkpoint
from train.fitting.cider import Cider
from train.fitting.generation import make_generate, special_token_mask, to_words
from train.fitting.loop import History, Report, loop
from train.fitting.optimizer import adam, learning_rate
from train.fitting.precision import Precision, mixed
from train.fitting.replicas import part, summed, vary_dropout
from train.models.decoder import Decoder
from train.recipe import Recipe


def self_critical(
    decoder: Decoder,
    recipe: Recipe,
    features: Features,
    references: Mapping[int, Sequence[str]],
    vocabulary: Vocabulary,
    *,
    epoch_images: Sequence[int],
    seed: int,
    precision: Precision = "float32",
    strategy: tf.distribute.Strategy | None = None,
    validate: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda step, measured: None,
) -> History:
    """Trains the decoder in place.

    Args:
      decoder: pretrained, by ``fit`` for example.
      recipe: batch size, schedule, patience, and the numbers of this stage.
      features: of every image and its views; a step takes one view of each image at random.
      references: captions by image.
      vocabulary: the decoder's.
      epoch_images: the images of an epoch; those with a weight occur several times.
      seed: of the order, the views and the samples.
      precision: of the products; see ``train.fitting.precision``.
      strategy: under which the decoder was built; see ``train.fitting.replicas``. Captions are sampled on the
        first device.
      validate, checkpoint, report: see ``train.fitting.loop``.

    Returns:
      The curves; the loss of a step is minus the mean reward of its sampled captions: their CIDEr, ``<end>`` counted as
      a word, minus the repetition penalty.
    """
    images, samples = np.array(epoch_images), recipe.self_critical_samples_per_image
    at_once = recipe.batch_size // samples
    steps, temperature = steps_in_epoch(recipe, len(epoch_images)), recipe.self_critical_temperature
    # <end> counts as a word: otherwise unfinished captions would be rewarded too.
    cider = Cider(
        [[[*words(caption, recipe.lowercase), END] for caption in captions] for captions in references.values()]
    )
    places = {image: place for place, image in enumerate(references)}
    dropout = recipe.self_critical_dropout
    mask = special_token_mask(vocabulary)
    generate = make_generate(decoder, vocabulary, recipe.max_caption_length)
    rate = learning_rate(recipe, recipe.self_critical_learning_rate, recipe.self_critical_epochs * steps)
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        optimizer = adam(rate, recipe.clip_norm, precision, slow=decoder.slow, share=recipe.encoder_learning_rate)
        optimizer.build(decoder.trainable_variables)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, *features.shape[2:]], tf.float16),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, samples], tf.float32),
        ]
    )
    def reinforce(feature_map: tf.Tensor, sampled: tf.Tensor, advantage: tf.Tensor) -> tf.Tensor:
        """Takes ``sampled`` [images * samples, length] without ``<start>`` and ``advantage``; returns the loss, a
        scalar."""
        real = tf.cast(sampled != vocabulary.pad_id, tf.float32)
        weights = tf.reshape(advantage, [-1, 1]) * real
        by_image = [tf.reshape(rows, [-1, samples, tf.shape(sampled)[1]]) for rows in (sampled, weights)]

        def learn(*batch: tf.Tensor) -> tf.Tensor:
            feature_map, *by_image = part(*batch)
            if dropout:
                vary_dropout(decoder.variables)
            sampled, weights = (tf.reshape(rows, [-1, tf.shape(rows)[2]]) for rows in by_image)
            start = tf.fill([tf.shape(sampled)[0], 1], vocabulary.start_id)
            with tf.GradientTape() as tape:
                encoded, state = decoder.bridge(tf.cast(feature_map, tf.float32), training=dropout)
                encoded, state = tf.repeat(encoded, samples, axis=0), tf.repeat(state, samples, axis=0)
                tokens = tf.concat([start, sampled[:, :-1]], 1)
                logits, _, _ = decoder.network([tokens, state, encoded], training=dropout)
                surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(sampled, (logits + mask) / temperature)
                loss = tf.reduce_sum(weights * surprise) / tf.reduce_sum(real)
                scaled = optimizer.scale_loss(loss)
            variables = decoder.trainable_variables
            optimizer.apply(summed(tape.gradient(scaled, [variable.value for variable in variables])), variables)
            return loss

        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(learn, (feature_map, *by_image)), axis=None)

    def rewards(captions: tf.Tensor, chosen: np.ndarray) -> np.ndarray:
        scores = []
        for image, ids in zip(np.repeat(chosen, samples), captions.numpy(), strict=True):
            caption, ended = to_words(ids, vocabulary), [END] if vocabulary.end_id in ids else []
            score = cider.score(places[image], [*caption, *ended])
            scores.append(score - recipe.self_critical_repetition_penalty * repeated(caption))
        return np.array(scores, np.float32)

    def step(number: int) -> float:
        epoch, place = divmod(number, steps)
        order = np.random.default_rng([seed, 1, epoch]).permutation(images)
        chosen = order[place * at_once : (place + 1) * at_once]
        views = np.random.default_rng([seed, 2, number]).integers(features.shape[1], size=at_once)
        feature_map = np.stack([features[image, view] for image, view in zip(chosen, views, strict=True)])
        sampled = generate(feature_map, seed=tf.constant([seed, number]), samples=samples, temperature=temperature)
        reward = rewards(sampled, chosen)
        by_image = reward.reshape(at_once, samples)
        others = (by_image.sum(axis=1, keepdims=True) - by_image) / (samples - 1)
        loss = float(reinforce(feature_map, sampled, tf.constant(by_image - others)))
        return -float(np.mean(reward)) if math.isfinite(loss) else loss

    with mixed(precision):
        return loop(
            step,
            decoder,
            optimizer,
            epochs=recipe.self_critical_epochs,
            steps_per_epoch=steps,
            patience=recipe.patience,
            pretrained=True,
            validate=validate,
            checkpoint=checkpoint,
            report=report,
        )


def steps_in_epoch(recipe: Recipe, images: int) -> int:
    """Steps of an epoch of so many images. A batch holds the samples of whole images; a last partial batch is left out.

    Raises:
      TrainError: there are too few images.
    """
    samples = recipe.self_critical_samples_per_image
    at_once = recipe.batch_size // samples
    if at_once > images:
        raise TrainError(
            f"{quantity(images, 'photo')}, too few for the second stage: a batch of {recipe.batch_size} holds "
            f"{samples} sampled captions for each of {at_once} photos. Set batch_size to {samples * images} or less, "
            "with --set batch_size=N."
        )
    return images // at_once
