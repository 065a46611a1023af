"""Everything that a training run reads before its first step."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from beam_job.messages.quantity import quantity
from beam_job.model.directory import OpenModel
from beam_job.model.vocabulary import Vocabulary
from train.data.batches import Batches, Division
from train.data.captions import DataSet
from train.data.examples import EncodedCaptions, encode_captions, encode_sentences, epoch_images, references
from train.data.features import FeatureCache, cached_features
from train.data.text import build_vocabulary
from train.errors import TrainError
from train.exporting.warm_start import extended
from train.fitting.self_critical import steps_in_epoch
from train.fitting.sentences import NO_IMAGE
from train.models.fine_tuning import SplitEncoder
from train.progress import say
from train.recipe import Recipe


class Inputs(NamedTuple):
    """What is learned from, and what is validated on; images are numbered through all data sets."""

    vocabulary: Vocabulary
    features: FeatureCache
    captions: EncodedCaptions
    batches: Batches
    references: dict[int, tuple[str, ...]]
    epoch_images: list[int]
    dev_features: list[FeatureCache]
    dev_references: list[dict[int, tuple[str, ...]]]
    sentences: Batches | None

    def describe(self, data_sets: Sequence[DataSet], dev_sets: Sequence[DataSet]) -> dict[str, Any]:
        """The data, for the manifest."""
        described: dict[str, Any] = {
            "data_sets": [
                {"name": data.name, "images": len(data.examples), "weight": data.weight} for data in data_sets
            ],
            "images_left_out": len(self.features.broken),
            "captions_left_out": sum(len(data.left_out) for data in data_sets),
            "captions_per_epoch": len(self.captions.tokens),
        }
        if self.sentences:
            described["sentences"] = len(self.sentences.captions.tokens)
        if dev_sets:
            described["dev_sets"] = [{"name": dev.name, "images": len(dev.examples)} for dev in dev_sets]
        return described


def read_inputs(
    data_sets: Sequence[DataSet],
    dev_sets: Sequence[DataSet],
    sentences: Sequence[str],
    split: SplitEncoder,
    recipe: Recipe,
    cache: str | os.PathLike[str],
    seed: int,
    start: OpenModel | None,
) -> Inputs:
    """Builds the vocabulary, fills the feature caches and arranges the batches.

    Raises:
      TrainError: the data do not suit each other or the recipe; what can be told before features are computed is.
    """
    vocabulary = build_vocabulary(
        (caption for data in data_sets for example in data.examples for caption in example.captions),
        recipe.vocabulary_size,
        recipe.min_frequency,
        recipe.lowercase,
    )
    if start:
        vocabulary = extended(start.vocabulary, vocabulary)
    say(f"{len(vocabulary):,} tokens")
    captions = encode_captions(data_sets, vocabulary, recipe)
    _check_batch_size(recipe, captions, len(epoch_images(data_sets)))
    sentence_batches = _sentence_batches(sentences, vocabulary, recipe, seed)
    features = cached_features(data_sets, split.trunk, cache, flip=recipe.flip, corner_crops=recipe.corner_crops)
    captions = captions.without(features.broken)
    batches = Batches(
        features,
        captions,
        pad_id=vocabulary.pad_id,
        batch_size=recipe.batch_size,
        captions_per_image_per_batch=recipe.captions_per_image_per_batch,
        seed=seed,
    )
    if batches.advice:
        say(batches.advice)
    images = epoch_images(data_sets, left_out=features.broken)
    _check_batch_size(recipe, captions, len(images))  # broken images are known only now
    dev_features = [cached_features([dev], split.trunk, cache) for dev in dev_sets]
    return Inputs(
        vocabulary,
        features,
        captions,
        batches,
        references(data_sets, left_out=features.broken),
        images,
        dev_features,
        [references([dev], left_out=seen.broken) for dev, seen in zip(dev_sets, dev_features, strict=True)],
        sentence_batches,
    )


def _sentence_batches(sentences: Sequence[str], vocabulary: Vocabulary, recipe: Recipe, seed: int) -> Batches | None:
    """Batches of the sentences that the vocabulary knows every word of; none without sentences.

    Raises:
      TrainError: they do not fill one batch.
    """
    if not sentences or not recipe.sentence_epochs:
        return None
    captions = encode_sentences(sentences, vocabulary, recipe)
    left_out = len(sentences) - len(captions.tokens)
    pad_id, batch_size = vocabulary.pad_id, recipe.batch_size
    if len(captions.tokens) < batch_size:
        why = (
            f" The others have {recipe.max_caption_length} words or more (max_caption_length), or a word outside the "
            f"vocabulary, such as one in the captions fewer than {recipe.min_frequency} times (min_frequency)."
        )
        raise TrainError(
            f"--sentences: {len(captions.tokens):,} of {quantity(len(sentences), 'sentence')} can be used, too few for "
            f"a batch of {batch_size}.{why if left_out else ''} Add sentences with words of the captions, or omit "
            "--sentences."
        )
    say(f"{quantity(len(sentences), 'sentence')} without photos; {left_out:,} are left out: too long, or a rare word")
    return Batches(NO_IMAGE, captions, pad_id=pad_id, batch_size=batch_size, seed=seed)


def _check_batch_size(recipe: Recipe, captions: EncodedCaptions, images: int) -> None:
    """Raises ``TrainError`` where the captions, or the images of an epoch, do not fill a batch of each stage."""
    Division.of(captions, recipe.batch_size, recipe.captions_per_image_per_batch)
    if recipe.self_critical_epochs:
        steps_in_epoch(recipe, images)
