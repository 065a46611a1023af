"""Pixels in, captions out, with an exported model: batches are encoded, decoded and, where it helps, decoded again.

captioner = Captioner(open_model(), Decoding("beam"), batch_size=128)
captioner.caption([pixels], ["gs://bucket/cat.jpg"])[0][0].text
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from beam_job import devices
from beam_job.model.answer.evidence import word_evidence
from beam_job.model.answer.unnamed import Unnamed
from beam_job.model.decoder import Decoder
from beam_job.model.decoding import Decoding
from beam_job.model.directory import OpenModel
from beam_job.model.graph.traced import TracedGraphs
from beam_job.model.search import ROWS
from beam_job.records import Captions, NoCaption

# Why a caption does not depend on its batch, to the last bit. On CPUs a matrix product with a single row takes another
# path and rounds differently; so do the exponentials of the last few elements of an array, those that do not fill a
# vector register of 16 floats. Hence at least two rows for the encoder, and a multiple of 16 (ROWS) for the decoder.
_ENCODER_ROWS = 2
# More images at once are no faster on a CPU, and their feature maps take more memory.
_MAX_ENCODER_ROWS = 16


class Encoded(NamedTuple):
    """A batch of images for the decoder, with rows of padding behind them.

    Attributes:
      features: float32 [rows, positions, width].
      state: float32 [rows, units].
      classes: the probability of each class of the model's image classifier, float32 [rows, classes]; ``None`` for a
        model without one.
    """

    features: tf.Tensor
    state: tf.Tensor
    classes: np.ndarray | None


class Captioner:
    """Captions batches of images; the result for an image does not depend on its batch.

    Args:
      model: the checked model directory.
      decoding: the decoding options.
      batch_size: maximum number of images in a call; smaller batches are padded, so that the graph is traced once.
      full_precision: compute in float32 even where half precision is fast.

    Attributes:
      device: the device that it computes on, such as ``CPU``, ``CPU, bfloat16`` or ``Tesla T4, float16``.
    """

    def __init__(self, model: OpenModel, decoding: Decoding, batch_size: int, *, full_precision: bool = False):
        self.device = devices.prepare(full_precision=full_precision)
        self.model = model
        self.decoding = decoding
        self._rows = -(-batch_size // ROWS) * ROWS
        self._encoder_rows = max(min(batch_size, _MAX_ENCODER_ROWS if self._on_cpu else batch_size), _ENCODER_ROWS)
        self._graphs = TracedGraphs(model, decoding, self.device)
        self._evidence = word_evidence(model.labels, model.vocabulary)
        self._decoder = Decoder(model, decoding, self._graphs, self._evidence)

    @property
    def _on_cpu(self) -> bool:
        return self.device.startswith("CPU")

    @property
    def traces(self) -> int:
        """How often TensorFlow has traced the graphs: ideally once for each."""
        return self._graphs.traces

    @property
    def fingerprint(self) -> str:
        """The model's fingerprint."""
        return self.model.fingerprint

    def warm_up(self) -> None:
        """Traces and runs every graph that each batch may need, on a blank image.

        The one for a second decoding is traced when it is first needed: many runs never need it.
        """
        image, shapes = self.model.manifest.image, self._graphs.encoded_shapes
        blank = [*(tf.zeros([self._rows, *shape]) for shape in shapes), np.arange(self._rows) < 1]
        graphs: list[Callable[[], object]] = [partial(self.encode, [])]
        graphs += [partial(graph, *blank) for graph in self._decoder.graphs()]
        # Traced first, so that the encoder runs while the others are traced: tracing two at once takes longer than one
        # after the other.
        pixels = tf.TensorSpec([self._encoder_rows, image.height, image.width, 3], tf.uint8)
        self._graphs.encode.get_concrete_function(pixels)
        # On a GPU one after the other, as captioning runs them: together they might not fit into its memory.
        with ThreadPoolExecutor(None if self._on_cpu else 1) as side_by_side:
            for ran in [side_by_side.submit(graph) for graph in graphs]:
                ran.result()  # raises what went wrong

    def caption(self, pixels: Sequence[np.ndarray], uris: Sequence[str]) -> list[Captions | NoCaption]:
        """Captions images.

        Args:
          pixels: at most ``batch_size`` arrays uint8 [height, width, 3] at the model's size.
          uris: the images' names; samples depend on them and on the seed, the other strategies do not.

        Returns:
          For each image ``num_captions`` distinct captions, best first, and its labels if the model has some; fewer
          captions if the beam has no more, and ``NoCaption`` if it has none.
        """
        return self.decode(self.encode(pixels), uris)

    def encode(self, pixels: Sequence[np.ndarray]) -> Encoded:
        """The encoder's part of ``caption``, with as many rows as the decoder uses."""
        image = self.model.manifest.image
        at_once = self._encoder_rows
        made = []
        for start in range(0, max(len(pixels), 1), at_once):
            batch = np.zeros([at_once, image.height, image.width, 3], np.uint8)
            for row, array in enumerate(pixels[start : start + at_once]):
                batch[row] = array
            made.append(self._graphs.encode(batch))
        more = [0, self._rows - at_once * len(made)]
        whole = [tf.concat(parts, axis=0) for parts in zip(*made, strict=True)]
        features, state, *logits = (tf.pad(part, [more, *[[0, 0]] * (part.shape.rank - 1)]) for part in whole)
        return Encoded(features, state, tf.nn.softmax(logits[0]).numpy() if logits else None)

    def decode(self, encoded: Encoded, uris: Sequence[str]) -> list[Captions | NoCaption]:
        """The decoder's part of ``caption``: captions of the encoded images, named ``uris``."""
        found = self._decoder.captions(*encoded, uris, places=range(len(uris)))
        bonus = self.decoding.label_bonus
        if bonus and self._evidence and encoded.classes is not None:
            unnamed = Unnamed(found, encoded.classes, self._evidence, self.model.vocabulary, bonus)
            again = self._decoder.captions(*encoded, uris, *unnamed.words, places=unnamed.places)
            for place, captions in zip(unnamed.places, again, strict=True):
                if unnamed.is_named(place, captions):
                    found[place] = captions
        return found
