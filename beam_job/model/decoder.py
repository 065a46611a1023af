"""Encoded images in, captions out: one run of the decoder loop, or as many as distinct samples need.

decoder = Decoder(model, Decoding("sample", num_captions=3), graphs, word_evidence(model.labels, model.vocabulary))
decoder.captions(features, state, classes, ["gs://bucket/cat.jpg"], rows=[0])[0][0].text
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from beam_job.model.answer.captions import Distinct, by_image, captions_of
from beam_job.model.answer.evidence import WordEvidence
from beam_job.model.decoding import Decoding
from beam_job.model.directory import OpenModel
from beam_job.model.draws import uniforms
from beam_job.model.graph.traced import TracedGraphs
from beam_job.model.search import Hypotheses
from beam_job.records import Captions, Label, NoCaption

# N distinct samples are drawn N at a time, at most this often.
_MAX_DRAWS = 10


class Decoder:
    """Captions encoded images, as the decoding options say."""

    def __init__(
        self, model: OpenModel, decoding: Decoding, graphs: TracedGraphs, evidence: WordEvidence | None
    ) -> None:
        self._model = model
        self._decoding = decoding
        self._graphs = graphs
        self._evidence = evidence

    def captions(
        self,
        features: tf.Tensor,
        state: tf.Tensor,
        classes: np.ndarray | None,
        uris: Sequence[str],
        rows: Sequence[int],
        *words: np.ndarray,
    ) -> list[Captions | NoCaption]:
        """The captions of the images in ``rows``; no others are decoded.

        Args:
          features: float32 [rows, positions, width]; rows behind those of the images are padding.
          state: float32 [rows, units].
          classes: the probability of each class, float32 [rows, classes]; ``None`` for a model without a classifier.
          uris: the names of all images.
          rows: the images' places among ``uris``.
          words: that get a bonus, as in ``favour_words``.
        """
        vocabulary, quality, every_word = self._model.vocabulary, self._model.quality, self._decoding.attention
        found = {row: Distinct(self._decoding.num_captions) for row in rows}
        # Where a model is so sure of itself that its samples repeat, the likeliest other captions fill the gap.
        turns = range(_MAX_DRAWS if self._decoding.strategy == "sample" else 0)
        for decode in [*(self._draw(turn, uris) for turn in turns), self._graphs.beam]:
            missing = [row for row, captions in found.items() if captions.missing]
            if not missing:
                break
            in_use = np.zeros(features.shape[0], bool)
            in_use[missing] = True
            hypotheses = by_image(decode(features, state, in_use, *words), len(in_use))
            for row in missing:
                share = None
                if self._evidence and classes is not None:
                    share = partial(self._evidence.share, probabilities=classes[row])
                found[row].add(captions_of(hypotheses[row], vocabulary, quality, share, every_word=every_word))
        return [captions.best_first(self._labels(classes, row)) for row, captions in found.items()]

    def _labels(self, classes: np.ndarray | None, row: int) -> Sequence[Label] | None:
        return None if classes is None or self._model.labels is None else self._model.labels.likely(classes[row])

    def graphs(self) -> list[Callable[..., Hypotheses]]:
        """The graphs that each batch may need, as functions of the features, the state and which rows are in use."""
        found: list[Callable[..., Hypotheses]] = []
        if self._decoding.strategy == "sample":
            found.append(self._draw(0, [""]))
        if self._decoding.strategy != "sample" or self._decoding.num_captions > 1:
            found.append(self._graphs.beam)
        return found

    def _draw(self, turn: int, uris: Sequence[str]) -> Callable[..., Hypotheses]:
        """Samples of these images; each turn has random numbers of its own."""
        each = self._decoding.num_captions

        def draw(*images: tf.Tensor) -> Hypotheses:
            draws = range(turn * each, (turn + 1) * each)
            numbers = uniforms(self._decoding.seed, uris, draws, self._graphs.max_length)
            return self._graphs.draw(np.pad(numbers, [[0, images[0].shape[0] * each - len(numbers)], [0, 0]]), *images)

        return draw
