"""Pixels in, captions out: an exported model and the decoder loop, compiled once for batches of one size.

    captioner = Captioner(open_model(), Decoding("beam"), batch_size=32)
    captioner.caption([pixels], ["gs://bucket/cat.jpg"])[0][0].text
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from beam_job.decoding import Decoding
from beam_job.frozen import freeze
from beam_job.model_directory import SAVED_MODEL, OpenModel
from beam_job.proposals import ban_tokens, drawn, likeliest
from beam_job.records import Caption
from beam_job.search import Hypotheses, search

# Why a caption does not depend on its batch, to the last bit. On CPUs a matrix product with a single row takes another
# path and rounds differently; so do the exponentials of the last few elements of an array, those that do not fill a
# vector register of 16 floats. Hence at least two rows for the encoder, and a multiple of 16 for the decoder.
_ENCODER_ROWS = 2
_DECODER_ROWS = 16
# Sampling N distinct captions draws N at a time, at most this often.
_MAX_ROUNDS = 10


class Captioner:
    """Captions batches of images; what an image gets does not depend on its batch.

    Args:
      model: the checked model directory.
      decoding: how to decode.
      batch_size: images at most in a call; smaller batches are padded to it, so that the graph is traced once.
    """

    def __init__(self, model: OpenModel, decoding: Decoding, batch_size: int):
        vocabulary = model.vocabulary
        self.model = model
        self.decoding = decoding
        self._rows = -(-batch_size // _DECODER_ROWS) * _DECODER_ROWS
        self._encoder_rows = max(batch_size, _ENCODER_ROWS)
        self._max_length = decoding.longest(model.manifest.max_caption_length)
        self._draws = decoding.num_captions if decoding.strategy == "sample" else 1

        loaded = tf.saved_model.load(str(model.directory / SAVED_MODEL))
        encode, decode_step = (freeze(loaded.signatures[name]) for name in ("encode", "decode_step"))
        ban = ban_tokens(
            len(vocabulary),
            [vocabulary.pad_id, vocabulary.unknown_id, vocabulary.start_id],
            vocabulary.end_id,
            min_length=decoding.min_length,
            no_repeat_ngram=decoding.no_repeat_ngram,
        )

        def step(tokens: tf.Tensor, state: tf.Tensor, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            made = decode_step(tokens=tokens, state=state, features=features)
            return made["logits"], made["state"], made["attention"]

        @tf.function(autograph=False)
        def encode_batch(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            made = encode(images=images)
            more = self._rows - self._encoder_rows
            features, state = tf.pad(made["features"], [[0, more], [0, 0], [0, 0]]), tf.pad(made["state"], [[0, more], [0, 0]])
            return features, state

        @tf.function(autograph=False)
        def decode_batch(features: tf.Tensor, state: tf.Tensor, in_use: tf.Tensor, uniforms: tf.Tensor) -> Hypotheses:
            propose = likeliest(2 * decoding.width)
            if decoding.strategy == "sample":
                propose = drawn(
                    uniforms, temperature=decoding.temperature, top_k=decoding.top_k, top_p=decoding.top_p
                )
            return search(
                step,
                propose,
                ban,
                tf.repeat(features, self._draws, axis=0),
                tf.repeat(state, self._draws, axis=0),
                tf.repeat(in_use, self._draws),
                width=decoding.width,
                max_length=self._max_length,
                length_penalty=decoding.length_penalty if decoding.strategy == "beam" else 1.0,
                start_id=vocabulary.start_id,
                end_id=vocabulary.end_id,
                pad_id=vocabulary.pad_id,
                keep_attention=decoding.attention,
            )

        self._encode = encode_batch
        self._decode = decode_batch

    @property
    def traces(self) -> int:
        """How often TensorFlow has traced the graphs: it stays at two, once for each."""
        return self._encode.experimental_get_tracing_count() + self._decode.experimental_get_tracing_count()

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self.model.fingerprint

    @property
    def device(self) -> str:
        """What TensorFlow computes on: a GPU's name, or ``CPU``."""
        gpus = tf.config.list_physical_devices("GPU")
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")) if gpus else "CPU"

    def warm_up(self) -> None:
        """Traces and runs the graphs once, on a blank image."""
        image = self.model.manifest.image
        self.caption([np.zeros([image.height, image.width, 3], np.uint8)], [""])

    def caption(self, pixels: Sequence[np.ndarray], uris: Sequence[str]) -> list[list[Caption]]:
        """Captions images.

        Args:
          pixels: at most ``batch_size`` arrays uint8 [height, width, 3] at the model's size.
          uris: the images' names; sampling depends on them and on the seed, the other strategies don't.

        Returns:
          For each image its distinct captions, best first: ``num_captions`` of them, or fewer where the beam held no
          more or sampling went on repeating itself.
        """
        image = self.model.manifest.image
        batch = np.zeros([self._encoder_rows, image.height, image.width, 3], np.uint8)
        batch[: len(pixels)] = pixels
        features, state = self._encode(batch)
        wanted = self.decoding.num_captions
        found: list[dict[tuple[str, ...], tuple[float, Caption]]] = [{} for _ in pixels]
        for turn in range(_MAX_ROUNDS if self.decoding.strategy == "sample" else 1):
            missing = [len(captions) < wanted for captions in found]
            if not any(missing):
                break
            hypotheses = self._decode(features, state, self._padded(missing), self._uniforms(uris, turn))
            for row, hypothesis in enumerate(_rows(hypotheses, self._rows)):
                if row < len(missing) and missing[row]:
                    for rank, caption in self._captions(hypothesis):
                        if len(found[row]) < wanted:
                            found[row].setdefault(tuple(caption.tokens), (rank, caption))
        return [
            [caption for _, caption in sorted(captions.values(), key=lambda ranked: -ranked[0])] for captions in found
        ]

    def _padded(self, missing: Sequence[bool]) -> np.ndarray:
        in_use = np.zeros([self._rows], bool)
        in_use[: len(missing)] = missing
        return in_use

    def _uniforms(self, uris: Sequence[str], turn: int) -> np.ndarray:
        """Float32 [rows * draws, max_length]: what each draw of each image depends on, and nothing else."""
        numbers = np.zeros([self._rows, self._draws, self._max_length], np.float32)
        if self.decoding.strategy == "sample":
            for row, uri in enumerate(uris):
                for draw in range(self._draws):
                    name = f"{self.decoding.seed} {turn * self._draws + draw} {uri}"
                    key = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:16], "big")
                    generator = np.random.Generator(np.random.Philox(key=key))
                    numbers[row, draw] = generator.random(self._max_length, np.float32)
        return numbers.reshape([-1, self._max_length])

    def _captions(self, hypotheses: Hypotheses) -> list[tuple[float, Caption]]:
        """The captions of one image with their ranks, from arrays [count, ...]."""
        vocabulary = self.model.vocabulary
        found = []
        for rank, ids, log_probs, attention in zip(*hypotheses, strict=True):
            if rank == -math.inf:
                continue
            length = int(np.count_nonzero(ids != vocabulary.pad_id))
            ended = bool(ids[length - 1] == vocabulary.end_id)
            tokens = vocabulary.decode(ids[: length - ended].tolist())
            caption = Caption(
                text=vocabulary.text(tokens),
                tokens=tokens,
                score=float(log_probs[:length].mean()),
                min_log_prob=float(log_probs[:length].min()),
                ended=ended,
                log_probs=log_probs[:length].tolist() if self.decoding.attention else None,
                attention=attention[:length].tolist() if self.decoding.attention else None,
            )
            found.append((float(rank), caption))
        return found


def _rows(hypotheses: Hypotheses, rows: int) -> list[Hypotheses]:
    """Splits what the search returns into one ``Hypotheses`` of numpy arrays [count, ...] for each image."""
    parts = [part.numpy() for part in hypotheses]
    count = parts[0].size // rows
    per_image = [part.reshape([rows, count, *part.shape[2:]]) for part in parts]
    return [Hypotheses(*(part[row] for part in per_image)) for row in range(rows)]
