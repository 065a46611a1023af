"""From what the search found to the captions of an image.

for hypotheses in by_image(found, rows):
    ranked = captions_of(hypotheses, vocabulary, quality)  # [(-0.71, Caption("A dog runs.", ...)), ...]
    best_first(ranked, labels)[0].text
"""

import math
from collections.abc import Sequence

import numpy as np

from beam_job.model.answer.quality import Quality
from beam_job.model.search import Hypotheses
from beam_job.model.vocabulary import Vocabulary
from beam_job.records import Caption, Captions, Label, NoCaption


def by_image(found: Hypotheses, rows: int) -> list[Hypotheses]:
    """Splits what the search returns into one ``Hypotheses`` of numpy arrays [count, ...] for each image."""
    parts = [part.numpy() for part in found]
    count = parts[0].size // rows
    shaped = [part.reshape([rows, count, *part.shape[2:]]) for part in parts]
    return [Hypotheses(*(part[row] for part in shaped)) for row in range(rows)]


def captions_of(
    hypotheses: Hypotheses, vocabulary: Vocabulary, quality: Quality | None, *, every_word: bool = False
) -> list[tuple[float, Caption]]:
    """The captions of one image with their ranks.

    Args:
      hypotheses: of the image, numpy arrays [count, ...].
      vocabulary: the model's.
      quality: what the model expects of its captions, which is then their score.
      every_word: captions also have the log-probability and the attention of each word.
    """
    captions = []
    for rank, ids, log_probs, attention in zip(*hypotheses, strict=True):
        if rank == -math.inf:
            continue
        length = int(np.count_nonzero(ids != vocabulary.pad_id))
        ended = bool(ids[length - 1] == vocabulary.end_id)
        tokens = vocabulary.decode(ids[: length - ended].tolist())
        mean = float(log_probs[:length].mean())
        expected = None if quality is None else quality.of(ids[:length], log_probs[:length])
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
        captions.append((float(rank), caption))
    return captions


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

    def add(self, ranked: Sequence[tuple[float, Caption]]) -> None:
        """Adds captions with their ranks."""
        for rank, caption in ranked:
            if self.missing:
                self._found.setdefault(tuple(caption.tokens), (rank, caption))

    def best_first(self, labels: Sequence[Label] | None) -> Captions | NoCaption:
        """The captions in the order of their ranks, with the labels of the image; or why there is none."""
        ranked = sorted(self._found.values(), key=lambda found: -found[0])
        if not ranked or not all(math.isfinite(caption.score) for _, caption in ranked):
            return NoCaption(
                "No caption satisfies --min_length and --no_repeat_ngram, or the model's scores are not numbers."
            )
        return Captions((caption for _, caption in ranked), labels)
