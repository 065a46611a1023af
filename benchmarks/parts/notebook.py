"""The notebook's way to caption, which everybody starts from: one image at a time, word by word in Python.

Written from the published recipe's description: the state starts from zeros, the next word is drawn from the ten
likeliest, every word is looked up in ``get_vocabulary()``, and five calls give five captions. One thing is done better
here than there: an image is encoded once for its five captions, not five times.
"""

from pathlib import Path

import keras
import tensorflow as tf

from beam_job.model.vocabulary import Vocabulary
from train.models.decoder import Decoder
from train.models.encoders import Encoder


class Notebook:
    """Captions by an eager loop over Keras models.

    Args:
      words_a_caption: every caption gets as many, as random weights don't know when to end.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, vocabulary: Vocabulary, words_a_caption: int):
        self._encoder = encoder
        self._decoder = decoder
        self._tokenizer = keras.layers.TextVectorization(standardize=None, vocabulary=list(vocabulary.tokens[2:]))
        self._start = vocabulary.start_id
        self._words = words_a_caption

    def captions(self, photo: Path, count: int = 5) -> list[str]:
        """Draws captions of one photograph."""
        image = tf.io.decode_jpeg(tf.io.read_file(str(photo)), channels=3)
        image = tf.image.resize(image, [self._encoder.size, self._encoder.size])
        features, zeros = self._decoder.bridge(self._encoder.model(image[None]))
        return [self._draw(features, zeros) for _ in range(count)]

    def _draw(self, features: tf.Tensor, state: tf.Tensor) -> str:
        token, words = tf.constant([[self._start]]), []
        for _ in range(self._words):
            logits, state, _ = self._decoder.network([token, state, features])
            likeliest, ids = tf.math.top_k(logits[0, 0], 10)
            drawn = int(ids.numpy()[tf.random.categorical([likeliest], 1).numpy()[0, 0]])
            words.append(self._tokenizer.get_vocabulary()[drawn])
            token = tf.constant([[drawn]])
        return " ".join(words)
