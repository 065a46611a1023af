"""Pixels in, captions out: an exported model and the decoder loop, compiled once for batches of one size.

captioner = Captioner(open_model(), Decoding("beam"), batch_size=32)
captioner.caption([pixels], ["gs://bucket/cat.jpg"])[0][0].text
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from beam_job import devices
from beam_job.model.answer.captions import Distinct, by_image, captions_of
from beam_job.model.answer.evidence import WordEvidence, word_evidence
from beam_job.model.decoding import Decoding
from beam_job.model.directory import OpenModel
from beam_job.model.draws import uniforms
from beam_job.model.graph import bind, fold, halve, open_functions, share
from beam_job.model.logits import favour_words, likeliest, mask_tokens, sampled
from beam_job.model.search import ROWS, Hypotheses, Propose, search
from beam_job.records import Captions, Label, NoCaption

# Why a caption does not depend on its batch, to the last bit. On CPUs a matrix product with a single row takes another
# path and rounds differently; so do the exponentials of the last few elements of an array, those that do not fill a
# vector register of 16 floats. Hence at least two rows for the encoder, and a multiple of 16 (ROWS) for the decoder.
_ENCODER_ROWS = 2
# More images at once are no faster on a CPU, and their feature maps take more memory.
_MAX_ENCODER_ROWS = 16
# N distinct samples are drawn N at a time, at most this often.
_MAX_DRAWS = 10


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
        vocabulary = model.vocabulary
        self.model = model
        self.decoding = decoding
        self._rows = -(-batch_size // ROWS) * ROWS
        self._encoder_rows = max(min(batch_size, _MAX_ENCODER_ROWS if self._on_cpu else batch_size), _ENCODER_ROWS)
        self._max_length = decoding.longest(model.manifest.max_caption_length)

        functions = open_functions(model)
        model.check_unchanged()
        for function in functions:
            fold(function)
        shared = share(functions[1], "features")
        if self.device.endswith("bfloat16"):
            halve(functions[0], keep="labels")
            halve(functions[1], keep="logits")
        shape = functions[1].shapes()
        self._encoded_shapes = [shape(f"{name}:0")[1:] for name in ("features", "state")]
        self._evidence = word_evidence(model.labels, vocabulary) if decoding.label_bonus else None
        encode, decode_step = bind(functions[0]), bind(functions[1], "features", shared)
        mask = mask_tokens(
            [vocabulary.pad_id, vocabulary.unknown_id, vocabulary.start_id],
            vocabulary.end_id,
            min_length=decoding.min_length,
            no_repeat_ngram=decoding.no_repeat_ngram,
        )

        def step(tokens: tf.Tensor, state: tf.Tensor, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            made = decode_step(tokens=tokens, state=state, features=features)
            return made["logits"], made["state"], made["attention"]

        @tf.function(autograph=False)
        def encode_batch(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
            made = encode(images=images)
            return tuple(made[name] for name in ("features", "state", "labels") if name in made)

        def loop(
            propose: Propose,
            features: tf.Tensor,
            state: tf.Tensor,
            in_use: tf.Tensor,
            *words: tf.Tensor,
            width: int,
            length_penalty: float,
        ) -> Hypotheses:
            return search(
                step,
                propose,
                mask,
                features,
                state,
                in_use,
                vocabulary_size=len(vocabulary),
                width=width,
                max_length=self._max_length,
                length_penalty=length_penalty,
                start_id=vocabulary.start_id,
                end_id=vocabulary.end_id,
                pad_id=vocabulary.pad_id,
                favour=favour_words(*words) if words else None,
                keep_attention=decoding.attention,
            )

        # Of images: features, state, whether in use; where words get a bonus, these and their bonus.
        @tf.function(autograph=False)
        def beam(*images: tf.Tensor) -> Hypotheses:
            # Samples are ranked by their mean log-probability, and so are those that fill a gap among them.
            length_penalty = 1.0 if decoding.strategy == "sample" else decoding.length_penalty
            # Half of a beam's candidates may end captions while it lives on with the others; greedily, one decides.
            propose = likeliest(2 * decoding.width if decoding.width > 1 else 1)
            return loop(propose, *images, width=decoding.width, length_penalty=length_penalty)

        @tf.function(autograph=False)
        def draw(uniforms: tf.Tensor, *images: tf.Tensor) -> Hypotheses:
            propose = sampled(uniforms, temperature=decoding.temperature, top_k=decoding.top_k, top_p=decoding.top_p)
            rows = [tf.repeat(tensor, decoding.num_captions, axis=0) for tensor in images]
            return loop(propose, *rows, width=1, length_penalty=1.0)

        self._encode = encode_batch
        self._beam = beam
        self._draw = draw

    @property
    def _on_cpu(self) -> bool:
        return self.device.startswith("CPU")

    @property
    def traces(self) -> int:
        """How often TensorFlow has traced the graphs: ideally once for each."""
        return sum(graph.experimental_get_tracing_count() for graph in (self._encode, self._beam, self._draw))

    @property
    def fingerprint(self) -> str:
        """The model's fingerprint."""
        return self.model.fingerprint

    def warm_up(self) -> None:
        """Traces and runs every graph that each batch may need, on a blank image.

        The one for a second decoding is traced when it is first needed: many runs never need it.
        """
        blank = [*(tf.zeros([self._rows, *shape]) for shape in self._encoded_shapes), tf.range(self._rows) < 1]
        graphs: list[Callable[[], object]] = [partial(self.encode, [])]
        if self.decoding.strategy == "sample":
            graphs.append(partial(self._sampled(0, [""]), *blank))
        if self.decoding.strategy != "sample" or self.decoding.num_captions > 1:
            graphs.append(partial(self._beam, *blank))
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
            made.append(self._encode(batch))
        more = [0, self._rows - at_once * len(made)]
        whole = [tf.concat(parts, axis=0) for parts in zip(*made, strict=True)]
        features, state, *logits = (tf.pad(part, [more, *[[0, 0]] * (part.shape.rank - 1)]) for part in whole)
        return Encoded(features, state, tf.nn.softmax(logits[0]).numpy() if logits else None)

    def decode(self, encoded: Encoded, uris: Sequence[str]) -> list[Captions | NoCaption]:
        """The decoder's part of ``caption``: captions of the encoded images, named ``uris``."""
        found = self._decode(encoded.features, encoded.state, uris, self._labels(encoded))
        if self._evidence and encoded.classes is not None:
            self._name_classes(found, encoded, uris, self._evidence, encoded.classes)
        return found

    def _name_classes(
        self,
        found: list[Captions | NoCaption],
        encoded: Encoded,
        uris: Sequence[str],
        evidence: WordEvidence,
        classes: np.ndarray,
    ) -> None:
        """Decodes once more, with a bonus, images whose best caption does not name what the classifier is sure of.

        Only captions that then name it are replaced. A bonus from the start would also change, and make worse, captions
        that name it without one.
        """
        ids, shares = evidence.of(classes)
        labels = self._labels(encoded)
        unnamed = [
            row
            for row, captions in enumerate(found)
            if shares[row].any()
            and isinstance(captions, Captions)
            and not evidence.is_in(captions[0].tokens, classes[row])
        ]
        for start in range(0, len(unnamed), ROWS):
            some = unnamed[start : start + ROWS]
            rows = [*some, *[0] * (ROWS - len(some))]
            features, state = (tf.gather(part, rows) for part in (encoded.features, encoded.state))
            words = ids[rows], np.float32(self.decoding.label_bonus) * shares[rows]
            again = self._decode(features, state, [uris[row] for row in some], [labels[row] for row in some], *words)
            for row, captions in zip(some, again, strict=True):
                wanted = set(ids[row][shares[row] > 0].tolist())
                if isinstance(captions, Captions) and wanted & set(self.model.vocabulary.encode(captions[0].tokens)):
                    found[row] = captions

    def _decode(
        self,
        features: tf.Tensor,
        state: tf.Tensor,
        uris: Sequence[str],
        labels: Sequence[Sequence[Label] | None],
        *words: np.ndarray,
    ) -> list[Captions | NoCaption]:
        """The captions of the images ``uris``; rows behind them are padding. ``words`` are as in ``favour_words``."""
        rows = features.shape[0]
        vocabulary, quality, every_word = self.model.vocabulary, self.model.quality, self.decoding.attention
        found = [Distinct(self.decoding.num_captions) for _ in uris]
        # Where a model is so sure of itself that its samples repeat, the likeliest other captions fill the gap.
        turns = range(_MAX_DRAWS if self.decoding.strategy == "sample" else 0)
        for decode in [*(self._sampled(turn, uris) for turn in turns), self._beam]:
            missing = [captions.missing for captions in found]
            if not any(missing):
                break
            in_use = np.pad(np.array(missing, bool), [0, rows - len(missing)])
            hypotheses = by_image(decode(features, state, in_use, *words), rows)
            for row in np.flatnonzero(missing):
                found[row].add(captions_of(hypotheses[row], vocabulary, quality, every_word=every_word))
        return [captions.best_first(each) for captions, each in zip(found, labels, strict=False)]

    def _labels(self, encoded: Encoded) -> Sequence[Sequence[Label] | None]:
        """Those of each row."""
        if encoded.classes is None or self.model.labels is None:
            return [None] * self._rows
        return [self.model.labels.likely(each) for each in encoded.classes]

    def _sampled(self, turn: int, uris: Sequence[str]) -> Callable[..., Hypotheses]:
        each = self.decoding.num_captions

        def draw(*images: tf.Tensor) -> Hypotheses:
            numbers = uniforms(self.decoding.seed, uris, range(turn * each, (turn + 1) * each), self._max_length)
            return self._draw(np.pad(numbers, [[0, images[0].shape[0] * each - len(numbers)], [0, 0]]), *images)

        return draw
