"""CIDEr-D in plain Python: the reward of self-critical training, and what early stopping watches.

    cider = Cider([[["a", "dog", "runs"], ["the", "dog", "runs"]], ...])  # the references of every image
    cider.score(7, ["a", "dog"])  # of a caption of image 7, about 0 to 10

Consensus-based Image Description Evaluation (Vedantam et al. 2015, https://arxiv.org/abs/1411.5726), in its variant D:
the mean, over the lengths 1 to 4 of word sequences, of the TF-IDF weighted cosine between a caption and each reference,
with clipped counts and a penalty on the difference in length. It equals pycocoevalcap's on the same tokens.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

LONGEST = 4
SIGMA = 6.0

Ngram = tuple[str, ...]
Words = Sequence[str]


class Cider:
    """Scores captions against the references of their image; a sequence's rarity is that in all the references."""

    def __init__(self, references: Sequence[Sequence[Words]]):
        """``references`` holds the captions of each image, each a sequence of words."""
        counts = [[_ngrams(caption) for caption in captions] for captions in references]
        # In how many images a sequence is mentioned at all.
        self._images = Counter(ngram for captions in counts for ngram in set().union(*captions))
        self._log_total = math.log(max(len(references), 1))
        self._references = [[_Vector(self, caption) for caption in captions] for captions in counts]

    def score(self, image: int, caption: Words) -> float:
        """CIDEr-D of a caption of that image, 10 at best for a single reference."""
        candidate = _Vector(self, _ngrams(caption))
        return 10.0 * float(np.mean([candidate.similarity(reference) for reference in self._references[image]]))

    def rarity(self, ngram: Ngram) -> float:
        """Inverse document frequency; what no image mentions counts as mentioned once."""
        return self._log_total - math.log(max(self._images[ngram], 1))


class _Vector:
    """TF-IDF weights of a caption's word sequences, by their length."""

    def __init__(self, cider: Cider, counts: Counter[Ngram]):
        self.weights: list[dict[Ngram, float]] = [{} for _ in range(LONGEST)]
        for ngram, count in counts.items():
            self.weights[len(ngram) - 1][ngram] = count * cider.rarity(ngram)
        self.norms = [math.sqrt(sum(weight**2 for weight in weights.values())) for weights in self.weights]
        self.pairs = sum(count for ngram, count in counts.items() if len(ngram) == 2)

    def similarity(self, reference: "_Vector") -> float:
        """From 0 to 1, the mean over the lengths."""
        total = 0.0
        for mine, theirs, norm, other in zip(self.weights, reference.weights, self.norms, reference.norms, strict=True):
            if norm and other:
                dot = sum(
                    min(weight, theirs[ngram]) * theirs[ngram] for ngram, weight in mine.items() if ngram in theirs
                )
                total += dot / (norm * other)
        return total / LONGEST * math.exp(-((self.pairs - reference.pairs) ** 2) / (2 * SIGMA**2))


def _ngrams(caption: Words) -> Counter[Ngram]:
    return Counter(
        tuple(caption[start : start + length])
        for length in range(1, LONGEST + 1)
        for start in range(len(caption) - length + 1)
    )
