"""The classifier after training: fitted to what it said of the training photos before, and of low rank.

    classifier = refit(classifier, features, split, rank=256)

Fine-tuning changes the features that the classifier was made for. Its kernel is corrected by ridge regression of its
former logits on the features of now, and then replaced by the product of two smaller matrices that keeps most of the
logits' variance.
"""

import numpy as np
import tensorflow as tf

from train.data.batches import Features
from train.models.classifier import Classifier
from train.models.fine_tuning import SplitEncoder
from train.progress import say

_MOST = 20_000  # images; evenly spaced among more
_RIDGE = 0.05  # the penalty on changes of the kernel, times the number of images
_BATCH = 64


def refit(classifier: Classifier, features: Features, split: SplitEncoder, rank: int) -> Classifier:
    """Fits a classifier to the encoder as it is now.

    Args:
      classifier: of the encoder as it was before training.
      features: of the training photos, by ``split.trunk``.
      split: the encoder as it was before training and as it is now.
      rank: of the new classifier's kernel.
    """
    before, now = _pooled(features, split)
    wanted = before @ (classifier.down @ classifier.up) + classifier.bias
    kernel, mean = classifier.down @ classifier.up, now.mean(axis=0)
    # In double precision, or rounding would make the covariance of large features one of no features.
    centred, target = (now - mean).astype(np.float64), wanted - wanted.mean(axis=0)
    covariance = centred.T @ centred / len(centred)
    penalty = _RIDGE * np.eye(len(kernel))
    kernel = kernel + np.linalg.solve(covariance + penalty, centred.T @ (target - centred @ kernel) / len(centred))

    # The best approximation for features of this covariance is the truncated SVD after whitening.
    white = np.linalg.cholesky(covariance + 1e-4 * np.eye(len(kernel)))
    left, values, right = np.linalg.svd(white.T @ kernel, full_matrices=False)
    rank = min(rank, len(values))
    scale = np.sqrt(values[:rank])
    down, up = np.linalg.solve(white.T, left[:, :rank] * scale), scale[:, None] * right[:rank]
    small = classifier._replace(
        down=down.astype(np.float32),
        up=up.astype(np.float32),
        bias=(wanted.mean(axis=0) - mean @ down @ up).astype(np.float32),
    )
    same = np.mean((now @ small.down @ small.up + small.bias).argmax(axis=1) == wanted.argmax(axis=1))
    say(f"labels: the likeliest of {len(classifier.labels):,} is the same as before for {same:.1%} of the photos")
    return small


def _pooled(features: Features, split: SplitEncoder) -> tuple[np.ndarray, np.ndarray]:
    """The encoder's features before training and now, their mean over the positions, float32 [images, channels]."""
    images = features.shape[0]
    chosen = np.arange(0, images, -(-images // _MOST))
    batches = [chosen[start : start + _BATCH] for start in range(0, len(chosen), _BATCH)]

    @tf.function(reduce_retracing=True)
    def pool(feature_map: tf.Tensor) -> list[tf.Tensor]:
        seen = tf.cast(feature_map, tf.float32)
        tails = (split.before, split.tail)
        return [tf.reduce_mean(tail(seen, training=False) if tail else seen, axis=1) for tail in tails]

    pooled = [pool(np.stack([features[image, 0] for image in batch])) for batch in batches]
    before, now = (np.concatenate([part.numpy() for part in parts]) for parts in zip(*pooled, strict=True))
    return before, now
