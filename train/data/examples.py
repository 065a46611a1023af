"""The captions of all data sets: as ids for teacher forcing, and as text for CIDEr.

Images are numbered through all data sets, in the order of the feature cache.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from beam_job.model.vocabulary import Vocabulary
from train.data.captions import DataSet
from train.data.text import words
from train.recipe import Recipe


class EncodedCaptions(NamedTuple):
    """Captions as ids.

    Attributes:
      images: int [captions], the image of each.
      tokens: of each caption, from ``<start>`` to ``<end>``.
      copies: int [captions]: which copy of its caption it is, where a data set has a weight; else 0.
    """

    images: np.ndarray
    tokens: list[list[int]]
    copies: np.ndarray

    def without(self, left_out: Collection[int]) -> "EncodedCaptions":
        """The captions of the other images; the images keep their numbers."""
        if not left_out:
            return self
        kept = [place for place, image in enumerate(self.images.tolist()) if image not in left_out]
        return EncodedCaptions(self.images[kept], [self.tokens[place] for place in kept], self.copies[kept])

    @property
    def groups(self) -> np.ndarray:
        """Int [captions]: captions with the same number are different captions of one image."""
        return self.images * (self.copies.max(initial=0) + 1) + self.copies


def encode_captions(data_sets: Sequence[DataSet], vocabulary: Vocabulary, recipe: Recipe) -> EncodedCaptions:
    """The captions of an epoch; a data set with a weight is repeated that many times."""
    images: list[int] = []
    tokens: list[list[int]] = []
    copies: list[int] = []
    image = -1
    for data in data_sets:
        for example in data.examples:
            image += 1
            for caption in example.captions[: recipe.captions_per_image]:
                ids = vocabulary.encode(words(caption, recipe.lowercase)[: recipe.max_caption_length - 1])
                images += data.weight * [image]
                tokens += data.weight * [[vocabulary.start_id, *ids, vocabulary.end_id]]
                copies += range(data.weight)
    return EncodedCaptions(np.array(images, int), tokens, np.array(copies, int))


def encode_sentences(sentences: Sequence[str], vocabulary: Vocabulary, recipe: Recipe) -> EncodedCaptions:
    """The sentences that are no longer than a caption and have no unknown word, all of one image, which is none."""
    known = set(vocabulary.tokens)
    tokens = []
    for sentence in sentences:
        split = words(sentence, recipe.lowercase)
        if split and len(split) < recipe.max_caption_length and known.issuperset(split):
            tokens.append([vocabulary.start_id, *vocabulary.encode(split), vocabulary.end_id])
    return EncodedCaptions(np.zeros(len(tokens), int), tokens, np.zeros(len(tokens), int))


def references(data_sets: Sequence[DataSet], left_out: Collection[int] = ()) -> dict[int, tuple[str, ...]]:
    """The reference captions by the number of the image."""
    examples = [example for data in data_sets for example in data.examples]
    return {image: example.captions for image, example in enumerate(examples) if image not in left_out}


def epoch_images(data_sets: Sequence[DataSet], left_out: Collection[int] = ()) -> list[int]:
    """The images of an epoch: each once, or as many times as its data set's weight."""
    weights = [data.weight for data in data_sets for _ in data.examples]
    return [image for image, weight in enumerate(weights) if image not in left_out for _ in range(weight)]
