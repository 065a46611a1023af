"""The graphs that caption batches of one size: the encoder and the decoder loop, each traced when it is first called.

graphs = TracedGraphs(open_model(), Decoding("beam"), "CPU")
features, state, *labels = graphs.encode(images)
graphs.beam(features, state, in_use).tokens
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from beam_job.model.decoding import Decoding
from beam_job.model.directory import OpenModel
from beam_job.model.graph import Bound, bind, fold, halve, open_functions, share
from beam_job.model.logits import favour_words, likeliest, mask_tokens, sampled
from beam_job.model.search import Hypotheses, Propose, search

Loop: TypeAlias = Callable[..., Hypotheses]


class TracedGraphs:
    """What TensorFlow runs for a model: called with other shapes, it is traced again.

    The tensors of images are features float32 [rows, positions, width], state float32 [rows, units], and whether each
    row is in use, bool [rows]. Where words get a bonus, their ids and bonuses follow, as in ``favour_words``.

    Args:
      model: the checked model directory.
      decoding: the decoding options.
      device: as ``devices.prepare`` names it.

    Attributes:
      max_length: most tokens of a caption, ``<end>`` included.
      encoded_shapes: of the features and of the state of one image.
      encode: from images uint8 [rows, height, width, 3] to features, state and, if the model has a classifier, the
        logits of its classes, float32 [rows, classes].
      beam: the likeliest captions of images.
      draw: one sample for each row of random numbers, float32 [rows * num_captions, max_length], which come before the
        tensors of the images.

    Raises:
      ModelError: the model's files have changed, or are not what its manifest says.
      ValueError: the model supports no captions of this length.
    """

    def __init__(self, model: OpenModel, decoding: Decoding, device: str) -> None:
        self.max_length = decoding.longest(model.manifest.max_caption_length)
        encode, decode_step, self.encoded_shapes = _functions(model, half_precision=device.endswith("bfloat16"))
        loop = _loop(decode_step, model, decoding, self.max_length)

        @tf.function(autograph=False)
        def encode_batch(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
            made = encode(images=images)
            return tuple(made[name] for name in ("features", "state", "labels") if name in made)

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

        self.encode = encode_batch
        self.beam = beam
        self.draw = draw

    @property
    def traces(self) -> int:
        """How often TensorFlow has traced the graphs: ideally once for each."""
        return sum(graph.experimental_get_tracing_count() for graph in (self.encode, self.beam, self.draw))


def _functions(model: OpenModel, *, half_precision: bool) -> tuple[Bound, Bound, list[tf.TensorShape]]:
    """*encode* and *decode_step*, prepared for fast computing, and the shapes of an image's features and state."""
    encode, decode_step = open_functions(model)
    model.check_unchanged()
    for function in (encode, decode_step):
        fold(function)
    shared = share(decode_step, "features")
    if half_precision:
        halve(encode, keep="labels")
        halve(decode_step, keep="logits")
    shape = decode_step.shapes()
    shapes = [shape(f"{name}:0")[1:] for name in ("features", "state")]
    return bind(encode), bind(decode_step, "features", shared), shapes


def _loop(decode_step: Bound, model: OpenModel, decoding: Decoding, max_length: int) -> Loop:
    """The search with everything that all of its graphs have in common."""
    vocabulary = model.vocabulary
    mask = mask_tokens(
        [vocabulary.pad_id, vocabulary.unknown_id, vocabulary.start_id],
        vocabulary.end_id,
        min_length=decoding.min_length,
        no_repeat_ngram=decoding.no_repeat_ngram,
    )

    def step(tokens: tf.Tensor, state: tf.Tensor, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        made = decode_step(tokens=tokens, state=state, features=features)
        return made["logits"], made["state"], made["attention"]

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
            max_length=max_length,
            length_penalty=length_penalty,
            start_id=vocabulary.start_id,
            end_id=vocabulary.end_id,
            pad_id=vocabulary.pad_id,
            favour=favour_words(*words) if words else None,
            keep_attention=decoding.attention,
        )

    return loop
