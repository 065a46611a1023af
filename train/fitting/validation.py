"""How good the decoder is by now: CIDEr of its captions of photos that it does not learn from.

    dev = Dev(features, references, decoder, vocabulary, longest=40)
    dev.cider()  # 45.7

The words are those of ``train.data.text``, not of the tokenizer that ``evaluate`` uses: near its CIDEr, and without
Java.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from beam_job.model.vocabulary import Vocabulary
from train.data.batches import Features
from train.data.text import words
from train.fitting.cider import Cider
from train.fitting.generation import rollout
from train.models.decoder import Decoder

_BATCH = 64


class Dev:
    """Photos with references, captioned greedily."""

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
          references: what people said, by the number of the photo.
          decoder: the one in training.
          vocabulary: its words.
          longest: tokens of a caption at most.
          lowercase: see ``train.data.text.words``.
        """
        self.features, self.photos, self.vocabulary = features, list(references), vocabulary
        self._cider = Cider([[words(caption, lowercase) for caption in captions] for captions in references.values()])
        self._generate = rollout(decoder, vocabulary, longest)

    def cider(self) -> float:
        """CIDEr-D times 100, mean over the photos."""
        scores = []
        for start in range(0, len(self.photos), _BATCH):
            chosen = self.photos[start : start + _BATCH]
            tokens = self._generate(np.stack([self.features[photo, 0] for photo in chosen])).numpy()
            scores += [
                self._cider.score(start + row, spoken(caption, self.vocabulary)) for row, caption in enumerate(tokens)
            ]
        return 100 * float(np.mean(scores))


def spoken(tokens: Sequence[int], vocabulary: Vocabulary) -> list[str]:
    """The words of ids int [length], up to ``<end>`` or padding."""
    silent = {vocabulary.end_id, vocabulary.pad_id}
    ends = [place for place, token in enumerate(tokens) if int(token) in silent]
    return vocabulary.decode([int(token) for token in tokens[: ends[0] if ends else None]])
