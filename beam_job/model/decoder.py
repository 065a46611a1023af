"""Encoded images in, captions out: one run of the decoder loop, or as many as distinct samples need.

decoder = Decoder(model, Decoding("sample", num_captions=3), graphs, word_evidence(model.labels, model.vocabulary))
decoder.captions(features, state, classes, ["gs://bucket/cat.jpg"], places=[0])[0][0].text
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
        *words: np.ndarray,
        places: Sequence[int],
    ) -> list[Captions | NoCaption]:
        """The captions of some images of a batch; the others are not decoded.

        Args:
          features: float32 [rows, positions, width]; rows behind those of the images are padding.
          state: float32 [rows, units].
          classes: the probability of each class, float32 [rows, classes]; ``None`` for a model without a classifier.
          uris: the names of all images.
          words: that get a bonus, as in ``favour_words``.
          places: which images, by their rows.
        """
        vocabulary, quality, every_word = self._model.vocabulary, self._model.quality, self._decoding.attention
        found = {place: Distinct(self._decoding.num_captions) for place in places}
        # Where a model is so sure of itself that its samples repeat, the likeliest other captions fill the gap.
        turns = range(_MAX_DRAWS if self._decoding.strategy == "sample" else 0)
        for decode in [*(self._draw(turn, uris) for turn in turns), self._graphs.beam]:
            missing = [place for place, captions in found.items() if captions.missing]
            if not missing:
                break
            in_use = np.zeros(features.shape[0], bool)
            in_use[missing] = True
            hypotheses = by_image(decode(features, state, in_use, *words), len(in_use))
            for place in missing:
                share = None
                if self._evidence and classes is not None:
                    share = partial(self._evidence.share, probabilities=classes[place])
                found[place].add(captions_of(hypotheses[place], vocabulary, quality, share, every_word=every_word))
        return [captions.best_first(self._labels(classes, place)) for place, captions in found.items()]

    def _labels(self, classes: np.ndarray | None, place: int) -> Sequence[Label] | None:
        return None if classes is None or self._model.labels is None else self._model.labels.likely(classes[place])

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

        def draw(features: tf.Tensor, state: tf.Tensor, in_use: np.ndarray, *words: tf.Tensor) -> Hypotheses:
            draws = range(turn * each, (turn + 1) * each)
            numbers = np.zeros([len(in_use), each, self._graphs.max_length], np.float32)
            for place, uri in enumerate(uris):
                if in_use[place]:
                    numbers[place] = uniforms(self._decoding.seed, uri, draws, self._graphs.max_length)
            return self._graphs.draw(numbers.reshape([-1, numbers.shape[-1]]), features, state, in_use, *words)

        return draw
