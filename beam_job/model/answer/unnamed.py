"""The images whose best caption does not name what the classifier is sure of: they are decoded once more, with a bonus.

    unnamed = Unnamed(found, classes, evidence, vocabulary, label_bonus=3.0)
    ids, bonuses = unnamed.words(unnamed.rows)
    unnamed.is_named(row, again)  # whether captions of the second decoding name it; only then do they count

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
      rows: the images' places in the batch.
    """

    def __init__(
        self,
        found: Sequence[Captions | NoCaption],
        classes: np.ndarray,
        evidence: WordEvidence,
        vocabulary: Vocabulary,
        label_bonus: float,
    ) -> None:
        self._ids, self._shares = evidence.of(classes)
        self._vocabulary = vocabulary
        self._label_bonus = np.float32(label_bonus)
        self.rows = [
            row
            for row, captions in enumerate(found)
            if self._shares[row].any()
            and isinstance(captions, Captions)
            and not evidence.is_in(captions[0].tokens, classes[row])
        ]

    def words(self, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The words that may name what is in these images, as in ``favour_words``.

        Returns:
          Ids of words, int32 [rows, words], and the bonus of each, float32 [rows, words]; zeros in unused places.
        """
        return self._ids[rows], self._label_bonus * self._shares[rows]

    def is_named(self, row: int, captions: Captions | NoCaption) -> bool:
        """Whether the best of these captions has one of the image's words. Only then do they replace the first ones."""
        words = set(self._ids[row][self._shares[row] > 0].tolist())
        return isinstance(captions, Captions) and not words.isdisjoint(self._vocabulary.encode(captions[0].tokens))
