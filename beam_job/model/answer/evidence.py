"""From the classes that an image classifier sees to the words that may name them in a caption.

    evidence = word_evidence(labels, vocabulary)
    ids, shares = evidence.of(probabilities)  # the words of each image
    evidence.is_in(["a", "cat"], probabilities[0])
    evidence.share(["a", "cat"], probabilities[0])  # 0.9, the probability of a cat

A word's evidence is the sum of the probabilities of its likely classes: with 0.4 for a tabby and 0.5 for an Egyptian
cat there is 0.9 for "cat".
"""

from collections.abc import Sequence

import numpy as np

from beam_job.model.answer.labels import Labels
from beam_job.model.vocabulary import Vocabulary

_LEAST = 0.7  # evidence; with less, too often the image shows something else
_LIKELY = 0.1  # probability of a class; many of less add up where the classifier does not know what it sees


class WordEvidence:
    """The everyday words of the classes that are in a vocabulary.

    Attributes:
      most: how many words of an image can have enough evidence.
    """

    def __init__(self, labels: Labels, vocabulary: Vocabulary) -> None:
        known = [sorted({word for word in words if word in vocabulary}) for words in labels.words]
        self._words = [frozenset(words) for words in known]
        pairs = [(number, word) for number, words in enumerate(known) for word in words]
        names = sorted({word for _, word in pairs})
        self._place = {word: place for place, word in enumerate(names)}
        self._ids = np.array(vocabulary.encode(names), np.int32)
        self._classes = np.array([number for number, _ in pairs], np.intp)
        self._places = np.array([self._place[word] for _, word in pairs], np.intp)
        # The probabilities add up to 1, and so all evidence to no more than the most words of a class.
        self.most = min(len(names), int(max(map(len, known)) / _LEAST))

    def of(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The words with enough evidence.

        Args:
          probabilities: of the classes, float32 [images, classes].

        Returns:
          Ids of words, int32 [images, most], and their evidence, float32 [images, most]; zeros in unused places.
        """
        ids = np.zeros([len(probabilities), self.most], np.int32)
        evidence = np.zeros([len(probabilities), self.most], np.float32)
        for row, each in enumerate(probabilities):
            sums = self._sums(each)
            enough = np.flatnonzero(sums >= _LEAST)[: self.most]
            ids[row, : len(enough)], evidence[row, : len(enough)] = self._ids[enough], sums[enough]
        return ids, evidence

    def is_in(self, tokens: Sequence[str], probabilities: np.ndarray) -> bool:
        """Whether a caption has a word for which there is any evidence.

        Args:
          probabilities: of the image's classes, float32 [classes].
        """
        sums = self._sums(probabilities)
        return any(sums[self._place[token]] > 0 for token in tokens if token in self._place)

    def share(self, tokens: Sequence[str], probabilities: np.ndarray) -> float:
        """The probability of the likely classes that a caption names.

        Args:
          tokens: the caption's words.
          probabilities: of the image's classes, float32 [classes].
        """
        likely = np.flatnonzero(probabilities >= _LIKELY).tolist()
        return float(sum(probabilities[number] for number in likely if not self._words[number].isdisjoint(tokens)))

    def _sums(self, probabilities: np.ndarray) -> np.ndarray:
        """The evidence for each word; summed in the same order in every batch, and so to the same last bit."""
        likely = np.where(probabilities >= _LIKELY, probabilities, 0)
        return np.bincount(self._places, likely[self._classes], len(self._ids))


def word_evidence(labels: Labels | None, vocabulary: Vocabulary) -> WordEvidence | None:
    """``None`` where no word of the vocabulary names a class, or there are no classes."""
    found = WordEvidence(labels, vocabulary) if labels else None
    return found if found and found.most else None
