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
    """Captions as ids: ``images`` int [captions], the image of each, and ``tokens``, from ``<start>`` to ``<end>``."""

    images: np.ndarray
    tokens: list[list[int]]

    def without(self, left_out: Collection[int]) -> "EncodedCaptions":
        """The captions of the other images; the images keep their numbers."""
        kept = [place for place, image in enumerate(self.images.tolist()) if image not in left_out]
        return EncodedCaptions(self.images[kept], [self.tokens[place] for place in kept]) if left_out else self


def encode_captions(data_sets: Sequence[DataSet], vocabulary: Vocabulary, recipe: Recipe) -> EncodedCaptions:
    """The captions of an epoch; a data set with a weight is repeated that many times."""
    images, tokens, image = [], [], -1
    for data in data_sets:
        for example in data.examples:
            image += 1
            for caption in example.captions[: recipe.captions_per_image]:
                ids = vocabulary.encode(words(caption, recipe.lowercase)[: recipe.max_caption_length - 1])
                images += data.weight * [image]
                tokens += data.weight * [[vocabulary.start_id, *ids, vocabulary.end_id]]
    return EncodedCaptions(np.array(images, int), tokens)


def references(data_sets: Sequence[DataSet], left_out: Collection[int] = ()) -> dict[int, tuple[str, ...]]:
    """The reference captions by the number of the image."""
    examples = [example for data in data_sets for example in data.examples]
    return {image: example.captions for image, example in enumerate(examples) if image not in left_out}


def epoch_images(data_sets: Sequence[DataSet], left_out: Collection[int] = ()) -> list[int]:
    """The images of an epoch: each once, or as many times as its data set's weight."""
    weights = [data.weight for data in data_sets for _ in data.examples]
    return [image for image, weight in enumerate(weights) if image not in left_out for _ in range(weight)]
