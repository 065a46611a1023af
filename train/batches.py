"""Training batches out of features and captions; each is a function of the seed and its number alone.

Because batch number 1234 is the same whoever asks, an interrupted run continues exactly where it was. Plain NumPy:
tf.data's autotuning has been seen to put its input thread to sleep for a minute on a machine with few cores.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

# Captions of about the same length share a batch, or half of it would be padding. They are sorted within pools of this
# many batches, so that what stands together still differs from epoch to epoch.
POOL = 100


class Batch(NamedTuple):
    """feature_map: float16 [batch, positions, channels]; tokens: int32 [batch, longest], padded at the end."""

    feature_map: np.ndarray
    tokens: np.ndarray


class Features(Protocol):
    """What ``FeatureCache`` and an array [images, views, positions, channels] have in common."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, image_and_view: tuple[int, int]) -> np.ndarray: ...


class Batches:
    """All batches of all epochs, by number."""

    def __init__(
        self,
        features: Features,
        images: np.ndarray,
        tokens: Sequence[Sequence[int]],
        *,
        pad_id: int,
        batch_size: int,
        seed: int,
    ):
        """
        Args:
          features: of every image and each of its views; each caption is given one view at random.
          images: int [captions], the image of each caption.
          tokens: ids of each caption, from ``<start>`` to ``<end>``.
          pad_id: what shorter captions of a batch are filled up with.
          batch_size: captions in a batch. The last ones of an epoch that don't fill a batch wait for the next epoch.
          seed: of the order and of the choice of views.
        """
        if len(images) < batch_size:
            raise ValueError(
                f"{len(images)} captions don't fill a batch of {batch_size}: add some, or --set batch_size=N."
            )
        self.features, self.images, self.tokens = features, images, tokens
        self.lengths = np.array([len(ids) for ids in tokens])
        self.pad_id, self.batch_size, self.seed = pad_id, batch_size, seed
        self.steps_per_epoch = len(images) // batch_size
        self._epoch = -1

    def __getitem__(self, step: int) -> Batch:
        """The batch of that step, counted from 0 over all epochs."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order, self._view = epoch, *self._shuffle(epoch)
        chosen = self._order[number]
        tokens = np.full((len(chosen), self.lengths[chosen].max()), self.pad_id, np.int32)
        for row, caption in enumerate(chosen):
            tokens[row, : self.lengths[caption]] = self.tokens[caption]
        seen = [self.features[self.images[caption], self._view[caption]] for caption in chosen]
        return Batch(np.stack(seen), tokens)

    def _shuffle(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The captions of each batch [steps, batch size], and the view of each caption."""
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(len(self.images))[: self.steps_per_epoch * self.batch_size]
        pools = np.split(order, range(POOL * self.batch_size, len(order), POOL * self.batch_size))
        order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        batches = random.permutation(order.reshape(-1, self.batch_size))
        return batches, random.integers(self.features.shape[1], size=len(self.images))
