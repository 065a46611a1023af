"""From what the search found to the captions of an image.

for hypotheses in by_image(found, rows):
    captions = Distinct(wanted=1)
    captions.add(captions_of(hypotheses, vocabulary, quality, share))  # (-0.71, Caption("A dog runs.", ...)), ...
    captions.best_first(labels)[0].text
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from beam_job.model.answer.quality import Context, Quality
from beam_job.model.search import Hypotheses
from beam_job.model.vocabulary import Vocabulary
from beam_job.records import Caption, Captions, Label, NoCaption

# The words of a caption -> the probability of the image's classes that it names
Share: TypeAlias = Callable[[Sequence[str]], float]


def by_image(found: Hypotheses, rows: int) -> list[Hypotheses]:
    """Splits what the search returns into one ``Hypotheses`` of numpy arrays [count, ...] for each image."""
    parts = [part.numpy() for part in found]
    count = parts[0].size // rows
    shaped = [part.reshape([rows, count, *part.shape[2:]]) for part in parts]
    return [Hypotheses(*(part[row] for part in shaped)) for row in range(rows)]


def captions_of(
    hypotheses: Hypotheses,
    vocabulary: Vocabulary,
    quality: Quality | None,
    share: Share | None = None,
    *,
    every_word: bool = False,
) -> Iterator[tuple[float, Caption]]:
    """Gives the captions of one image with their ranks. Each is made only when it is asked for.

    Args:
      hypotheses: of the image, numpy arrays [count, ...].
      vocabulary: the model's.
      quality: what the model expects of its captions, which is then their score.
      share: of the image's classes; ``None`` for a model without a classifier.
      every_word: captions also have the log-probability and the attention of each word.
    """
    found = [hypothesis for hypothesis in zip(*hypotheses, strict=True) if hypothesis[0] > -math.inf]
    lengths = [int(np.count_nonzero(ids != vocabulary.pad_id)) for _, ids, *_ in found]
    means = [float(log_probs[:length].mean()) for (_, _, log_probs, _), length in zip(found, lengths, strict=True)]
    for (rank, ids, log_probs, attention), length, mean in zip(found, lengths, means, strict=True):
        ended = bool(ids[length - 1] == vocabulary.end_id)
        tokens = vocabulary.decode(ids[: length - ended].tolist())
        expected = None
        if quality:
            expected = quality.of(ids[:length], log_probs[:length], context_of(tokens, means, share))
        caption = Caption(
            text=vocabulary.text(tokens),
            tokens=tokens,
            score=mean if expected is None else expected,
            mean_log_prob=None if expected is None else mean,
            min_log_prob=float(log_probs[:length].min()),
            ended=ended,
            log_probs=log_probs[:length].tolist() if every_word else None,
            attention=attention[:length].tolist() if every_word else None,
        )
        yield float(rank), caption


def context_of(tokens: Sequence[str], means: Sequence[float], share: Share | None) -> Context:
    """What there is beside a caption, among all captions that one search found, with these mean log-probabilities."""
    return Context(sum(means) / len(means), share(tokens) if share else 0.0)


class Distinct:
    """The captions of one image, no two with the same words.

    Args:
      wanted: how many; what is found afterwards does not count.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._found: dict[tuple[str, ...], tuple[float, Caption]] = {}

    @property
    def missing(self) -> bool:
        return len(self._found) < self._wanted

    def add(self, ranked: Iterator[tuple[float, Caption]]) -> None:
        """Takes captions with their ranks, until there are enough."""
        while self.missing and (found := next(ranked, None)):
            rank, caption = found
            self._found.setdefault(tuple(caption.tokens), (rank, caption))

    def best_first(self, labels: Sequence[Label] | None) -> Captions | NoCaption:
        """The captions in the order of their ranks, with the labels of the image; or why there is none."""
        ranked = sorted(self._found.values(), key=lambda found: -found[0])
        if not ranked or not all(math.isfinite(caption.score) for _, caption in ranked):
            return NoCaption(
                "No caption satisfies --min_length and --no_repeat_ngram, or the model's scores are not numbers."
            )
        return Captions((caption for _, caption in ranked), labels)
