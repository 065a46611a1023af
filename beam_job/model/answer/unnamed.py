"""The images whose best caption does not name what the classifier is sure of: they are decoded once more, with a bonus.

    unnamed = Unnamed(found, classes, evidence, vocabulary, label_bonus=3.0)
    ids, bonuses = unnamed.words
    unnamed.is_named(place, again)  # whether captions of the second decoding name it; only then do they count

A bonus from the start would also change, and make worse, captions that name it without one.
"""

from collections.abc import Sequence

import numpy as np

from beam_job.model.answer.evidence import WordEvidence
from beam_job.model.vocabulary import Vocabulary
from beam_job.records import Captions, NoCaption


class Unnamed:
    """Images of a batch for a second decoding.

    Args:
      found: the captions of the images.
      classes: the probabilities of each image's classes, float32 [images or more, classes].
      evidence: for words of the vocabulary.
      vocabulary: the model's.
      label_bonus: what is added to the logit of a word, for each unit of its evidence.

    Attributes:
      places: where the images are in the batch.
      words: ids and bonuses of the words that may name what is in each image of the batch, as ``favour_words`` takes
        them: int32 and float32 [images or more, words]; zeros where there is no word.
    """

    def __init__(
        self,
        found: Sequence[Captions | NoCaption],
        classes: np.ndarray,
        evidence: WordEvidence,
        vocabulary: Vocabulary,
        label_bonus: float,
    ) -> None:
        ids, shares = evidence.of(classes)
        self.words = ids, np.float32(label_bonus) * shares
        self._vocabulary = vocabulary
        self.places = [
            place
            for place, captions in enumerate(found)
            if shares[place].any()
            and isinstance(captions, Captions)
            and not evidence.is_in(captions[0].tokens, classes[place])
        ]

    def is_named(self, place: int, captions: Captions | NoCaption) -> bool:
        """Whether the best of these captions has one of the image's words. Only then do they replace the first ones."""
        ids, bonuses = self.words
        words = set(ids[place][bonuses[place] > 0].tolist())
        return isinstance(captions, Captions) and not words.isdisjoint(self._vocabulary.encode(captions[0].tokens))
