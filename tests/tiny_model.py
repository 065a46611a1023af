"""A model directory made in a second: random weights, a few words, nothing of `train`."""

import atexit
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from beam_job.model.answer.labels import Labels
from beam_job.model.answer.quality import NUMBERS, Quality
from beam_job.model.directory import OpenModel, copy_model, open_model, write_model
from beam_job.model.graph import from_signature, write_functions
from beam_job.model.manifest import FORMAT_VERSION, SAVED_MODEL, ImageSpec, Manifest
from beam_job.model.vocabulary import END, PADDING, START, UNKNOWN, Vocabulary

WORDS = ("a", "cat", "dog", "on", "the", "grass", "runs", "red", "ball", "'s")
# Two classes share a word, one has a word that the vocabulary lacks, and one has none.
LABELS = Labels(
    ("tabby", "Egyptian cat", "Border collie", "croquet ball", "espresso", "lakeside"),
    (("cat",), ("cat", "kitten"), ("dog", "grass"), ("ball", "red"), ("coffee",), ()),
)
_EXPORTED: dict[str, OpenModel] = {}


class TinyModel(tf.Module):
    """A convolution for an encoder; a recurrent step with dot attention for a decoder."""

    def __init__(
        self,
        size: int,
        vocabulary: int,
        units: int,
        seed: int,
        sharpness: float = 2.0,
        dtype: tf.DType = tf.float16,
        classes: int = 0,
    ):
        super().__init__()
        random = np.random.default_rng(seed)

        def weight(name: str, *shape: int) -> tf.Variable:
            scale = sharpness / np.sqrt(shape[-2]) if len(shape) > 1 else 0.1
            return tf.Variable(random.normal(size=shape) * scale, dtype=dtype, name=name, trainable=False)

        self.kernel = weight("kernel", 8, 8, 3, units)
        self.embedding = weight("embedding", vocabulary, units)
        self.recurrent = weight("recurrent", 2 * units, units)
        self.out = weight("out", 2 * units, vocabulary)
        self.bias = weight("bias", vocabulary)
        self.classifier = weight("classifier", units, classes) if classes else None

        self.encode = tf.function(
            self._encode, input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8, "images")]
        )
        positions = (size // 8) ** 2
        self.decode_step = tf.function(
            self._decode_step,
            input_signature=[
                tf.TensorSpec([None], tf.int32, "tokens"),
                tf.TensorSpec([None, units], tf.float32, "state"),
                tf.TensorSpec([None, positions, units], tf.float32, "features"),
            ],
        )

    def _encode(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        grid = tf.nn.conv2d(tf.cast(images, tf.float32) / 127.5 - 1, tf.cast(self.kernel, tf.float32), 8, "VALID")
        features = tf.reshape(grid, [-1, grid.shape[1] * grid.shape[2], grid.shape[3]])
        encoded = {"features": features, "state": tf.tanh(tf.reduce_mean(features, axis=1))}
        if self.classifier is not None:
            encoded["labels"] = tf.matmul(9 * encoded["state"], tf.cast(self.classifier, tf.float32))
        return encoded

    def _decode_step(self, tokens: tf.Tensor, state: tf.Tensor, features: tf.Tensor) -> dict[str, tf.Tensor]:
        words = tf.gather(tf.cast(self.embedding, tf.float32), tokens)
        state = tf.tanh(tf.matmul(tf.concat([words, state], axis=-1), tf.cast(self.recurrent, tf.float32)))
        attention = tf.nn.softmax(tf.einsum("bu,bpu->bp", state, features))
        context = tf.einsum("bp,bpu->bu", attention, features)
        logits = tf.matmul(tf.concat([state, context], axis=-1), tf.cast(self.out, tf.float32))
        return {"logits": logits + tf.cast(self.bias, tf.float32), "state": state, "attention": attention}


def tiny_vocabulary(words: Sequence[str] = WORDS) -> Vocabulary:
    """Special tokens in unusual places: their ids are to be looked up."""
    words = list(words)
    return Vocabulary([END, *words[:2], PADDING, UNKNOWN, *words[2:], START])


def write_tiny_model(
    path: Path,
    *,
    size: int = 16,
    words: Sequence[str] = WORDS,
    units: int = 8,
    max_caption_length: int = 12,
    seed: int = 0,
    sharpness: float = 2.0,
    dtype: tf.DType = tf.float16,
    training: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    format_version: int = FORMAT_VERSION,
    labels: Labels | None = None,
    classes: int | None = None,
    quality: bool = False,
) -> Manifest:
    """Exports a tiny model; the same seed gives the same weights. TensorFlow exports equal ones once in a process.

    ``classes`` is for models whose graph has other classes than their labels. With ``quality`` it has one.
    """
    classes = (len(labels) if labels else 0) if classes is None else classes
    size_and_weights = size, tuple(words), units, max_caption_length, seed, sharpness, dtype, classes, labels, quality
    key = repr((*size_and_weights, training, metrics, format_version))
    if key not in _EXPORTED:
        folder = Path(tempfile.mkdtemp(prefix="tiny-model-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        vocabulary = tiny_vocabulary(words)
        module = TinyModel(size, len(vocabulary), units, seed, sharpness, dtype, classes)
        functions = {"encode": module.encode, "decode_step": module.decode_step}
        manifest = Manifest(
            ImageSpec(size, size),
            "tiny",
            max_caption_length,
            {},
            training or {},
            metrics or {},
            licence="none",
            format_version=format_version,
        )

        def save(target: Path) -> None:
            if format_version == 1:
                tf.saved_model.save(module, str(target / SAVED_MODEL), signatures=functions)
                (target / SAVED_MODEL / "fingerprint.pb").unlink()  # a random number
                return
            weights = {weight.name.partition(":")[0]: weight for weight in module.variables}
            made = {name: function.get_concrete_function() for name, function in functions.items()}
            write_functions(target, {name: from_signature(function, weights) for name, function in made.items()})

        write_model(folder / "model", save, vocabulary, manifest, labels, _quality(vocabulary) if quality else None)
        _EXPORTED[key] = open_model(folder / "model")
    copy_model(_EXPORTED[key], path)
    return _EXPORTED[key].manifest


def _quality(vocabulary: Vocabulary) -> Quality:
    random = np.random.default_rng(0)
    shapes = (1, len(NUMBERS), len(vocabulary), len(vocabulary))
    return Quality(*(random.normal(scale=0.1, size=shape).astype(np.float32) for shape in shapes))
