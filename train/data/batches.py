"""Training batches from features and captions; each depends only on the seed and its number.

So batch number 1234 is always the same, and an interrupted run continues exactly where it was. Plain NumPy is used
because tf.data's autotuning has been seen to pause its input thread for a minute on a machine with few cores.
"""

from typing import NamedTuple, Protocol

import numpy as np

from beam_job.messages.quantity import quantity
from train.data.examples import EncodedCaptions
from train.errors import TrainError

# Captions of about the same length share a batch, or half of it would be padding. They are sorted within pools of this
# many batches, so that what stands together still differs from epoch to epoch.
POOL = 100
FEW_STEPS = 10  # in an epoch
MIN_BATCH = 8  # smaller ones make the loss noisy
NONE = -1  # in place of a caption that an image does not have


class Batch(NamedTuple):
    """Images and their captions.

    Attributes:
      feature_map: float16 [images, positions, channels].
      tokens: int32 [images, captions, longest], padded at the end; rows of only padding if an image has fewer captions.
    """

    feature_map: np.ndarray
    tokens: np.ndarray


class Features(Protocol):
    """The common interface of ``FeatureCache`` and an array [images, views, positions, channels]."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, image_and_view: tuple[int, int]) -> np.ndarray: ...


class Division(NamedTuple):
    """How the captions of an epoch are divided into batches.

    Attributes:
      groups: different captions of one image that stand together; so many groups in an epoch.
      images_at_once: groups in a batch.
      together: captions of a group at most.
      steps_per_epoch: batches in an epoch, at least 1.
      advised: a batch size that suits so few captions, if they are few.
    """

    groups: int
    images_at_once: int
    together: int
    steps_per_epoch: int
    advised: int

    @classmethod
    def of(cls, captions: EncodedCaptions, batch_size: int, captions_per_image_per_batch: int) -> "Division":
        """Divides the captions of an epoch.

        Raises:
          TrainError: they do not fill one batch.
        """
        count = len(captions.images)
        counts = np.unique(captions.groups, return_counts=True)[1]
        together = min(captions_per_image_per_batch, int(counts.max()))
        advised = advised_batch_size(count, captions_per_image_per_batch)
        images_at_once = batch_size // together
        groups = int(np.sum(-(-counts // together)))
        if groups < images_at_once:
            shared = f" ({together} captions of the same photo are in one batch)" if together > 1 else ""
            raise TrainError(
                f"{quantity(count, 'caption')}, too few for a batch of {batch_size}{shared}. Add some, or make "
                f"the batches smaller: --set batch_size={advised}."
            )
        return cls(groups, images_at_once, together, groups // images_at_once, advised)


class Batches:
    """All batches of all epochs, by number."""

    def __init__(
        self,
        features: Features,
        captions: EncodedCaptions,
        *,
        pad_id: int,
        batch_size: int,
        captions_per_image_per_batch: int = 1,
        seed: int,
    ):
        """
        Args:
          features: of every image and each of its views; captions that stand together are given one view at random.
          captions: of an epoch. Copies of one caption, of a data set with a weight, are in different groups, each with
            a view of its own.
          pad_id: what shorter captions of a batch are filled up with.
          batch_size: captions in a batch. The last ones of an epoch that don't fill a batch wait for the next epoch.
          captions_per_image_per_batch: captions of one image that share its features in a batch, and one pass through
            an encoder that is fine-tuned; at most as many as any image has. A batch holds whole images, so it may be a
            little smaller than ``batch_size``.
          seed: of the order and of the choice of views.
        """
        self.features, self.captions = features, captions
        self.lengths = np.array([len(ids) for ids in captions.tokens])
        self.pad_id, self.seed = pad_id, seed
        self.division = Division.of(captions, batch_size, captions_per_image_per_batch)
        self.steps_per_epoch = self.division.steps_per_epoch
        self._epoch = -1

    @property
    def advice(self) -> str | None:
        """A sentence where an epoch has so few batches that little is learned in it."""
        advised = self.division.advised
        if self.steps_per_epoch >= FEW_STEPS or advised >= self.division.images_at_once * self.division.together:
            return None
        steps, captions = quantity(self.steps_per_epoch, "step"), quantity(len(self.lengths), "caption")
        return f"only {steps} in an epoch of {captions}: smaller batches learn more, such as --set batch_size={advised}"

    def __getitem__(self, step: int) -> Batch:
        """The batch of that step, counted from 0 over all epochs."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order, self._view = epoch, *self._shuffle(epoch)
        chosen = self._order[number]
        longest = self.lengths[chosen[chosen != NONE]].max()
        tokens = np.full((*chosen.shape, longest), self.pad_id, np.int32)
        for place in zip(*np.nonzero(chosen != NONE), strict=True):
            caption = chosen[place]
            tokens[place][: self.lengths[caption]] = self.captions.tokens[caption]
        first = chosen[:, 0]
        seen = [self.features[self.captions.images[caption], self._view[caption]] for caption in first]
        return Batch(np.stack(seen), tokens)

    def _shuffle(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The captions of each batch [steps, images, captions together], and the view of each caption."""
        random = np.random.default_rng([self.seed, epoch])
        _, images_at_once, together, steps, _ = self.division
        groups = random.permutation(self._groups(random))[: steps * images_at_once]
        longest = np.where(groups == NONE, 0, self.lengths[groups]).max(axis=1)
        size = POOL * images_at_once
        pools = [slice(start, start + size) for start in range(0, len(groups), size)]
        groups = np.concatenate([groups[pool][np.argsort(longest[pool], kind="stable")] for pool in pools])
        batches = random.permutation(groups.reshape(-1, images_at_once, together))
        return batches, random.integers(self.features.shape[1], size=len(self.lengths))

    def _groups(self, random: np.random.Generator) -> np.ndarray:
        """The captions in groups of one image each [groups, captions together], filled up with ``NONE``."""
        numbers = self.captions.groups
        order = np.lexsort((random.random(len(numbers)), numbers))
        numbers = numbers[order]
        place = np.arange(len(order)) - np.searchsorted(numbers, numbers)  # among the captions of its image
        together = self.division.together
        starts = np.cumsum(place % together == 0) - 1
        groups = np.full((self.division.groups, together), NONE)
        groups[starts, place % together] = order
        return groups


def advised_batch_size(captions: int, together: int) -> int:
    """A batch size for so few captions: a power of two that makes ``FEW_STEPS`` batches of them, but at least
    ``MIN_BATCH`` where there are so many, and ``together``, the captions of an image that may share a batch."""
    return max(2 ** int(np.log2(max(captions / FEW_STEPS, min(captions, MIN_BATCH)))), together)
