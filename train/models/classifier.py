"""The classifier of an encoder: from its features to the logits of classes, such as those of ImageNet.

classifier = Classifier(down, up, bias, imagenet_labels())
logits = classifier.logits(feature_map)  # float32 [batch, positions, channels] -> [batch, classes]
"""

import hashlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from beam_job.model.answer.labels import Labels


class Classifier(NamedTuple):
    """The mean over the positions times a kernel of low rank, plus a bias.

    Attributes:
      down: float32 [channels, rank]; the kernel is ``down`` times ``up``.
      up: float32 [rank, classes].
      bias: float32 [classes].
      labels: names of the classes, and everyday words for them.
    """

    down: np.ndarray
    up: np.ndarray
    bias: np.ndarray
    labels: Labels

    @property
    def digest(self) -> str:
        """SHA-256 of the weights and the labels, in hexadecimal."""
        digest = hashlib.sha256("".join(self.labels.to_lines()).encode())
        for part in (self.down, self.up, self.bias):
            digest.update(repr(part.shape).encode() + part.tobytes())
        return digest.hexdigest()

    def logits(self, feature_map: tf.Tensor) -> tf.Tensor:
        # The product of both is a weight of its own when the exported model runs: beam_job.model.graph.folding.
        return tf.matmul(tf.reduce_mean(feature_map, axis=1), tf.matmul(self.down, self.up)) + self.bias
