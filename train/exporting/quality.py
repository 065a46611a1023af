"""Learns which of its captions a model may trust: the expected CIDEr, from the model's own captions.

    quality = fit_quality(decoder, recipe, [(dev_features, references)], vocabulary, seed=0)

The captions are those that the model gives the dev photos, greedily and sampled; the linear model of
``beam_job.model.answer.quality`` is fitted to their CIDEr by ridge regression. With captions of the training photos, of
which the model has seen the references, the scores rank the captions of other photos less well.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from beam_job.model.answer.quality import NUMBERS, Quality, numbers_of
from beam_job.model.vocabulary import Vocabulary
from train.data.batches import Features
from train.data.text import words
from train.fitting.cider import Cider
from train.fitting.generation import make_generate, to_words
from train.models.decoder import Decoder
from train.progress import say
from train.recipe import Recipe

_LEAST = 200  # images
_MOST = 20_000  # of a data set; evenly spaced among more
_SAMPLES = 2  # of each image, beside the greedy caption
_BATCH = 64
_WORDS = 2000  # the most frequent ones; a rarer word is in too few captions to have a weight
_AT_ONCE = 2048  # examples
_RIDGE = (0.01, 100.0, 100.0)  # the penalties on the weights of numbers, words, and words by their probability


class Example(NamedTuple):
    """A caption: its ids, their log-probabilities, and its CIDEr."""

    ids: np.ndarray
    log_probs: np.ndarray
    cider: float


def fit_quality(
    decoder: Decoder,
    recipe: Recipe,
    data_sets: Sequence[tuple[Features, Mapping[int, Sequence[str]]]],
    vocabulary: Vocabulary,
    *,
    seed: int,
) -> Quality | None:
    """Captions photos that the decoder was not trained on, and fits the expected CIDEr; None if there are too few.

    Args:
      decoder: trained.
      recipe: the way of splitting words, the longest caption, and the temperature of samples.
      data_sets: the features and the captions by image of each.
      vocabulary: the decoder's.
      seed: of the samples.
    """
    if sum(len(references) for _, references in data_sets) < _LEAST:
        return None
    generate = make_generate(decoder, vocabulary, recipe.max_caption_length)

    @tf.function(reduce_retracing=True)
    def judge(feature_map: tf.Tensor, captions: tf.Tensor, samples: int) -> tf.Tensor:
        """Log-probabilities of captions int32 [images * samples, length]."""
        encoded, state = decoder.bridge(tf.cast(feature_map, tf.float32), training=False)
        repeated = [tf.repeat(part, samples, axis=0) for part in (state, encoded)]
        start = tf.fill([tf.shape(captions)[0], 1], vocabulary.start_id)
        logits, _, _ = decoder.network([tf.concat([start, captions[:, :-1]], 1), *repeated], training=False)
        return tf.gather(tf.nn.log_softmax(logits), captions, batch_dims=2)

    examples: list[Example] = []
    for features, references in data_sets:
        cider = Cider([[words(caption, recipe.lowercase) for caption in captions] for captions in references.values()])
        photos = list(enumerate(references))[:: -(-len(references) // _MOST)]
        for at in range(0, len(photos), _BATCH):
            chosen = photos[at : at + _BATCH]
            feature_map = np.stack([features[image, 0] for _, image in chosen])
            options = {"seed": tf.constant([seed, len(examples)]), "temperature": recipe.self_critical_temperature}
            for samples, captions in (
                (1, generate(feature_map)),
                (_SAMPLES, generate(feature_map, samples=_SAMPLES, **options)),
            ):
                log_probs = judge(feature_map, captions, samples).numpy()
                for row, ids in enumerate(captions.numpy()):
                    reward = cider.score(chosen[row // samples][0], to_words(ids, vocabulary))
                    length = int(np.count_nonzero(ids != vocabulary.pad_id))
                    examples.append(Example(ids[:length], log_probs[row, :length], reward))
    say(f"expected quality: learned from {len(examples):,} captions of dev photos")
    return fit_examples(examples, len(vocabulary))


def fit_examples(examples: Sequence[Example], vocabulary_size: int, ridge: Sequence[float] = _RIDGE) -> Quality:
    """Ridge regression of the CIDEr; numbers are standardised, and each part has its own penalty."""
    numbers = np.array([numbers_of(example.log_probs) for example in examples], np.float64)
    mean, scale = numbers.mean(axis=0), numbers.std(axis=0) + 1e-6
    used, counts = np.unique(np.concatenate([example.ids for example in examples]), return_counts=True)
    used = np.sort(used[np.argsort(-counts, kind="stable")[:_WORDS]])  # the others keep weights of zero
    places = np.full(vocabulary_size, -1)
    places[used] = np.arange(len(used))
    parts = [len(NUMBERS), len(used), len(used)]
    target = np.array([example.cider for example in examples], np.float64)
    # Their products are added up part by part: all examples at once would take gigabytes.
    squares, products, middle = np.zeros([sum(parts)] * 2), np.zeros(sum(parts)), np.zeros(sum(parts))
    for at in range(0, len(examples), _AT_ONCE):
        design = _design(examples[at : at + _AT_ONCE], (numbers[at : at + _AT_ONCE] - mean) / scale, places, parts)
        squares += design.T @ design
        products += design.T @ (target[at : at + _AT_ONCE] - target.mean())
        middle += design.sum(axis=0)
    squares -= np.outer(middle, middle / len(examples))
    squares[np.diag_indices_from(squares)] += np.repeat(ridge, parts)
    weights = np.linalg.solve(squares, products)
    of_numbers, *of_words = np.split(weights, np.cumsum(parts)[:-1])
    every = np.zeros([2, vocabulary_size])
    every[:, used] = of_words
    bias = target.mean() - middle @ weights / len(examples) - mean @ (of_numbers / scale)
    found = (np.array([bias]), of_numbers / scale, *every)
    return Quality(*(part.astype(np.float32) for part in found))


def _design(examples: Sequence[Example], numbers: np.ndarray, places: np.ndarray, parts: Sequence[int]) -> np.ndarray:
    """What the weights are multiplied by, float64 [examples, sum of ``parts``]: of each example its numbers, how often
    it has each word, and the words' probabilities. ``places`` has the word's place by its id, or -1."""
    design = np.zeros([len(examples), sum(parts)])
    of_numbers, said, probable = np.split(design, np.cumsum(parts)[:-1], axis=1)
    of_numbers[:] = numbers
    for row, example in enumerate(examples):
        columns = places[example.ids]
        np.add.at(said[row], columns[columns >= 0], 1.0)
        np.add.at(probable[row], columns[columns >= 0], np.exp(example.log_probs[columns >= 0]))
    return design
