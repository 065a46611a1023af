"""Validation during training: the CIDEr of greedy captions on the dev set.

    validation = Validation(features, references, decoder, vocabulary, longest=40)
    validation.cider()  # 45.7

Words are split by ``train.data.text``, not by the tokenizer of ``evaluate``: the CIDEr is close to its, without Java.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from beam_job.model.vocabulary import Vocabulary
from train.data.batches import Features
from train.data.text import words
from train.fitting.cider import Cider
from train.fitting.generation import make_generate, to_words
from train.models.decoder import Decoder

_BATCH = 64


class Validation:
    """The dev set: photos with references, captioned greedily."""

    def __init__(
        self,
        features: Features,
        references: Mapping[int, Sequence[str]],
        decoder: Decoder,
        vocabulary: Vocabulary,
        longest: int,
        lowercase: bool = True,
    ):
        """
        Args:
          features: of the photos.
          references: reference captions by the number of the photo.
          decoder: the one in training.
          vocabulary: its words.
          longest: maximum number of tokens in a caption.
          lowercase: see ``train.data.text.words``.
        """
        self.features, self.photos, self.vocabulary = features, list(references), vocabulary
        self._cider = Cider([[words(caption, lowercase) for caption in captions] for captions in references.values()])
        self._generate = make_generate(decoder, vocabulary, longest)

    def cider(self) -> float:
        """CIDEr-D times 100, mean over the photos."""
        scores = []
        for start in range(0, len(self.photos), _BATCH):
            chosen = self.photos[start : start + _BATCH]
            tokens = self._generate(np.stack([self.features[photo, 0] for photo in chosen])).numpy()
            scores += [
                self._cider.score(start + row, to_words(caption, self.vocabulary)) for row, caption in enumerate(tokens)
            ]
        return 100 * float(np.mean(scores))


def mean_cider(validations: Sequence[Validation]) -> float:
    """The mean over the dev sets, however many photos each has."""
    return float(np.mean([validation.cider() for validation in validations]))
