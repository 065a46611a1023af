"""Learns which of its captions a model may trust: the expected CIDEr, from the model's own captions.

    learned = learn_quality(decoder, recipe, [DevSet("dev.jsonl", features, references)], vocabulary, seed=0)
    learned.quality
    learned.agreement[0]  # Agreement(score=0.48, mean_log_prob=0.41): how well it ranks captions of other photos

The captions are those that the model gives the dev photos, greedily and sampled; the linear model of
``beam_job.model.answer.quality`` is fitted to their CIDEr. With captions of the training photos, of which the model has
seen the references, the scores rank the captions of other photos less well.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from beam_job.model.answer.quality import Quality
from beam_job.model.vocabulary import Vocabulary
from train.data.batches import Features
from train.data.text import words
from train.evaluation.agreement import rank_correlation
from train.exporting.regression import Example, cross_validated, fit_examples
from train.fitting.cider import Cider
from train.fitting.generation import make_generate, to_words
from train.models.decoder import Decoder
from train.progress import say
from train.recipe import Recipe

_LEAST = 200  # images
_MOST = 20_000  # of a data set; evenly spaced among more
_SAMPLES = 2  # of each image, beside the greedy caption
_BATCH = 64


class DevSet(NamedTuple):
    """Photos that the decoder was not trained on: their features, and their captions by image."""

    name: str
    features: Features
    references: Mapping[int, Sequence[str]]


class Agreement(NamedTuple):
    """The rank correlations with CIDEr, of the expected quality and of the mean log-probability."""

    score: float
    mean_log_prob: float


class Learned(NamedTuple):
    """The weights, and what they are worth for greedy captions of photos of each dev set that they were not learned
    from, by cross-validation."""

    quality: Quality
    agreement: list[Agreement]


class DevCaptions(NamedTuple):
    """The model's captions of a dev set."""

    greedy: list[Example]
    sampled: list[Example]


def learn_quality(
    decoder: Decoder, recipe: Recipe, dev_sets: Sequence[DevSet], vocabulary: Vocabulary, *, seed: int
) -> Learned | None:
    """Captions photos that the decoder was not trained on, and fits the expected CIDEr; None if there are too few.

    Args:
      decoder: trained.
      recipe: the way of splitting words, the longest caption, and the temperature of samples.
      dev_sets: the photos.
      vocabulary: the decoder's.
      seed: of the samples.
    """
    if sum(len(dev.references) for dev in dev_sets) < _LEAST:
        return None
    captions = caption_dev_sets(decoder, recipe, dev_sets, vocabulary, seed=seed)
    examples = [example for each in captions for examples in each for example in examples]
    say(f"expected quality: learned from {len(examples):,} captions of dev photos")
    found = agreement(examples, [each.greedy for each in captions], len(vocabulary))
    say("rank correlation with CIDEr for photos that it was not learned from, by cross-validation:")
    for dev, of_dev in zip(dev_sets, found, strict=True):
        say(f"  {dev.name}: {of_dev.score:.2f}; that of the mean log-probability is {of_dev.mean_log_prob:.2f}")
    return Learned(fit_examples(examples, len(vocabulary)), found)


def agreement(
    examples: Sequence[Example], judged: Sequence[Sequence[Example]], vocabulary_size: int
) -> list[Agreement]:
    """What the expected quality, learned from the examples of other photos, is worth for each of the judged sets."""
    expected = cross_validated(examples, [one for ones in judged for one in ones], vocabulary_size)
    by_set = np.split(expected, np.cumsum([len(ones) for ones in judged])[:-1])
    return [
        Agreement(
            score=rank_correlation(scores, [one.cider for one in ones]),
            mean_log_prob=rank_correlation([one.log_probs.mean() for one in ones], [one.cider for one in ones]),
        )
        for scores, ones in zip(by_set, judged, strict=True)
    ]


def caption_dev_sets(
    decoder: Decoder, recipe: Recipe, dev_sets: Sequence[DevSet], vocabulary: Vocabulary, *, seed: int
) -> list[DevCaptions]:
    """The captions from which the quality is learned. Photos are numbered through all sets, in their order."""
    generate = make_generate(decoder, vocabulary, recipe.max_caption_length)

    @tf.function(reduce_retracing=True)
    def judge(feature_map: tf.Tensor, captions: tf.Tensor, samples: int) -> tf.Tensor:
        """Log-probabilities of captions int32 [images * samples, length]."""
        encoded, state = decoder.bridge(tf.cast(feature_map, tf.float32), training=False)
        repeated = [tf.repeat(part, samples, axis=0) for part in (state, encoded)]
        start = tf.fill([tf.shape(captions)[0], 1], vocabulary.start_id)
        logits, _, _ = decoder.network([tf.concat([start, captions[:, :-1]], 1), *repeated], training=False)
        return tf.gather(tf.nn.log_softmax(logits), captions, batch_dims=2)

    found = []
    photos_before, temperature = 0, recipe.self_critical_temperature
    for dev in dev_sets:
        captions = DevCaptions([], [])
        references = dev.references
        cider = Cider([[words(caption, recipe.lowercase) for caption in told] for told in references.values()])
        photos = list(enumerate(references))[:: -(-len(references) // _MOST)]
        for at in range(0, len(photos), _BATCH):
            chosen = photos[at : at + _BATCH]
            feature_map = np.stack([dev.features[image, 0] for _, image in chosen])
            number = tf.constant([seed, photos_before + at])
            for samples, examples, ids_of_batch in (
                (1, captions.greedy, generate(feature_map)),
                (_SAMPLES, captions.sampled, generate(feature_map, number, _SAMPLES, temperature)),
            ):
                log_probs = judge(feature_map, ids_of_batch, samples).numpy()
                for row, ids in enumerate(ids_of_batch.numpy()):
                    photo, _ = chosen[row // samples]
                    reward = cider.score(photo, to_words(ids, vocabulary))
                    length = int(np.count_nonzero(ids != vocabulary.pad_id))
                    examples.append(Example(ids[:length], log_probs[row, :length], reward, photos_before + photo))
        photos_before += len(references)
        found.append(captions)
    return found
