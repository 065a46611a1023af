"""Learns which of its captions a model may trust: the expected CIDEr, from the model's own captions.

    learned = learn_quality(decoder, recipe, [DevSet("dev.jsonl", features, references)], vocabulary, seed=0)
    learned.quality
    learned.agreement[0]  # Agreement(score=0.52, mean_log_prob=0.41): how well it ranks captions of other photos

The captions are those that the model gives the dev photos; the model of ``beam_job.model.answer.quality`` is fitted to
their CIDEr. With captions of the training photos, of which the model has seen the references, the scores rank the
captions of other photos less well.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from beam_job.model.answer.quality import Quality
from beam_job.model.vocabulary import Vocabulary
from train.evaluation.agreement import rank_correlation
from train.exporting.dev_captions import DevSet, Sight, caption_dev_sets
from train.exporting.regression import Example, cross_validated, fit_examples
from train.models.decoder import Decoder
from train.progress import say
from train.recipe import Recipe

_LEAST = 200  # images


class Agreement(NamedTuple):
    """The rank correlations with CIDEr, of the expected quality and of the mean log-probability."""

    score: float
    mean_log_prob: float


class Learned(NamedTuple):
    """The weights, and what they are worth for the best captions of photos of each dev set that they were not learned
    from, by cross-validation."""

    quality: Quality
    agreement: list[Agreement]


def learn_quality(
    decoder: Decoder,
    recipe: Recipe,
    dev_sets: Sequence[DevSet],
    vocabulary: Vocabulary,
    *,
    seed: int,
    sight: Sight | None = None,
) -> Learned | None:
    """Captions photos that the decoder was not trained on, and fits the expected CIDEr; None if there are too few.

    The arguments are those of ``caption_dev_sets``.
    """
    if sum(len(dev.references) for dev in dev_sets) < _LEAST:
        return None
    captions = caption_dev_sets(decoder, recipe, dev_sets, vocabulary, seed=seed, sight=sight)
    examples = [example for each in captions for examples in each for example in examples]
    say(f"expected quality: learned from {len(examples):,} captions of dev photos")
    found = agreement(examples, [each.best for each in captions], len(vocabulary))
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
