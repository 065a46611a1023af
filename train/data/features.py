"""The feature cache: the frozen encoder runs once over every image, and training reads the features from disk.

    cache = FeatureCache("cache", encoder, images, flip=True)
    cache.fill(report=print)
    cache[7, 0]  # float16 [positions, channels], image 7 as it is; cache[7, 1] is another view of it

The key of a cache covers everything it depends on: the encoder's weights, the decoding of images, and the image files.
Other weights or files give another cache, so a stale one cannot be used. An interrupted cache resumes after the last
batch on disk. Images that could not be read are tried again each time: that may depend on more than their bytes.
"""

import hashlib
import itertools
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from beam_job.files.whole import write_whole
from beam_job.images.pixels import MIN_SCALE, RESIZE, ImageError, decode
from beam_job.messages.quantity import quantity
from train.data.captions import CaptionsError, DataSet, Image
from train.data.tfds_images import TfdsImage
from train.errors import StoppedError
from train.models.encoders import Encoder
from train.progress import Progress, say

_LISTED = 20  # images left out that are named; the rest are counted
_HALF = np.dtype(np.float16)
_CROP = 7 / 8  # of the width and of the height, as in evaluation on ImageNet


class CacheError(StoppedError):
    """The cache can't be written; the message says why and what to do."""


class FeatureCache:
    """Features of every image, on disk and not in memory.

    The views of an image are the image itself and, if requested, the flipped image and its four corners.

    Attributes:
      shape: (images, views, positions, channels).
      broken: index of each image that can't be read -> why. Its features are zeros; skip its captions. ``fill`` tries
        it again.
      directory: of this cache, below the given one.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        encoder: Encoder,
        images: Sequence[Image],
        *,
        flip: bool = False,
        corner_crops: bool = False,
    ):
        """Opens the cache of these images by this encoder, empty if there is none yet.

        Args:
          directory: may hold any number of caches.
          encoder: makes the features.
          images: files or images of a TensorFlow data set; one that is missing or no image becomes ``broken``.
          flip: whether each image has a second view, flipped horizontally.
          corner_crops: whether each image has four more views, its corners; with ``flip`` two of them are flipped.
        """
        self.encoder, self.images = encoder, images
        self._flip, self._corner_crops = flip, corner_crops
        self.shape = (len(images), 1 + flip + 4 * corner_crops, *encoder.model.output_shape[1:])
        contents = {
            "encoder": encoder.name,
            "weights": encoder.digest,
            "size": encoder.size,
            "resize": [RESIZE, MIN_SCALE],
            "shape": self.shape,
            "images": _digest(images),
        }
        key = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
        self.directory = Path(directory) / key[:16]
        self.directory.mkdir(parents=True, exist_ok=True)
        write_whole(str(self.directory / "contents.json"), (json.dumps(contents, indent=2) + "\n").encode())
        self._progress = self.directory / "progress.json"
        self._done, self.broken = 0, {}
        if self._progress.exists():
            progress = json.loads(self._progress.read_text())
            self._done, self.broken = progress["done"], {int(index): why for index, why in progress["broken"].items()}
        self._file = os.open(self.directory / "features.f16", os.O_RDWR | os.O_CREAT)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, image_and_view: tuple[int, int]) -> np.ndarray:
        """Float16 [positions, channels] of one view of one image, read from disk."""
        image, view = image_and_view
        if not 0 <= image < self._done:
            raise IndexError(
                f"Image {image} is not in the cache, which holds {self._done} of {len(self)}: fill it first."
            )
        view_bytes = self._image_bytes // self.shape[1]
        data = os.pread(self._file, view_bytes, image * self._image_bytes + view * view_bytes)
        return np.frombuffer(data, np.float16).reshape(self.shape[2:])

    @property
    def missing(self) -> int:
        """Images that are not in the cache yet."""
        return len(self) - self._done

    @property
    def missing_bytes(self) -> int:
        """Disk space needed to fill the cache."""
        return self.missing * self._image_bytes

    @property
    def _image_bytes(self) -> int:
        return int(np.prod(self.shape[1:])) * _HALF.itemsize

    def fill(self, batch_size: int = 16, report: Callable[[int], None] = lambda done: None) -> None:
        """Runs the encoder over the images that are not in the cache yet, and those that could not be read before.

        The latter may be readable now: a package was installed that decodes them, or the disk answers again.

        Args:
          batch_size: number of images that the encoder processes at once, with all their views.
          report: called with the number of images done after every batch; those still to be tried again are not.

        Raises:
          CacheError: the features can't be written: the disk is full, say.
        """
        free = shutil.disk_usage(self.directory).free
        if self.missing_bytes > free:
            raise CacheError(
                f"The features of {quantity(self.missing, 'image')} take {self.missing_bytes / 1e9:.1f} GB and "
                f"{self.directory} has {free / 1e9:.1f} GB left: free some space or choose another directory."
            )
        encode = _encode(self.encoder)
        blank = np.zeros([self.shape[1], self.encoder.size, self.encoder.size, 3], np.uint8)
        again, missing = sorted(self.broken), range(self._done, len(self))
        # Apart, so that an interruption does not change which images are encoded together.
        batches = [part[at : at + batch_size] for part in (again, missing) for at in range(0, len(part), batch_size)]
        waiting = len(again) + len(missing)
        for found in self._decoded(batches):
            broken = {index: str(pixels) for index, pixels in found.items() if isinstance(pixels, Exception)}
            features = np.zeros([len(found), *self.shape[1:]], _HALF)
            if len(broken) < len(found):
                seen = [blank if isinstance(pixels, Exception) else pixels for pixels in found.values()]
                features = encode(np.stack(seen)).numpy()
                features[[index in broken for index in found]] = 0
            self._save(dict(zip(found, features, strict=True)), broken)
            waiting -= len(found)
            report(len(self) - waiting)

    def _save(self, features: Mapping[int, np.ndarray], broken: dict[int, str]) -> None:
        """Writes the features of images, and counts them as done once they are on disk."""
        done = max(self._done, max(features) + 1)
        still = {index: why for index, why in self.broken.items() if index not in features} | broken
        try:
            for index, found in features.items():
                self._write(found.tobytes(), index * self._image_bytes)
            os.fsync(self._file)
            write_whole(str(self._progress), json.dumps({"done": done, "broken": still}).encode())
        except OSError as error:
            raise CacheError(f"The features can't be written to {self.directory}: {error}") from error
        self._done, self.broken = done, still

    def _write(self, data: bytes, place: int) -> None:
        """Writes all of it: a disk with too little room may take a part, and say so only when asked for more."""
        left = memoryview(data)
        while left:
            written = os.pwrite(self._file, left, place)
            left, place = left[written:], place + written

    def _decoded(self, batches: Sequence[Sequence[int]]) -> Iterator[dict[int, np.ndarray | Exception]]:
        """The images of each batch, the next one decoding while the encoder works on this one."""
        with ThreadPoolExecutor() as pool:
            ahead: deque[dict[int, Future[np.ndarray | Exception]]] = deque()
            for chosen in batches:
                ahead.append({index: pool.submit(self._views, self.images[index]) for index in chosen})
                if len(ahead) > 1:
                    yield {index: image.result() for index, image in ahead.popleft().items()}
            for batch in ahead:
                yield {index: image.result() for index, image in batch.items()}

    def _views(self, image: Image) -> np.ndarray | Exception:
        """Uint8 [views, size, size, 3], or why there are none."""
        size = self.encoder.size
        try:
            data = image.read_bytes()
            views = [decode(data, size, size).array]
            if self._flip:
                views.append(views[0][:, ::-1])
            if self._corner_crops:
                wide = round(size / _CROP)
                larger = decode(data, wide, wide).array
                for number, (top, left) in enumerate(itertools.product((0, wide - size), repeat=2)):
                    corner = larger[top : top + size, left : left + size]
                    views.append(corner[:, ::-1] if self._flip and number in (1, 2) else corner)
        except (ImageError, OSError) as error:
            return error
        return np.stack(views)


def cached_features(
    data_sets: Sequence[DataSet],
    encoder: Encoder,
    cache: str | os.PathLike[str],
    *,
    flip: bool = False,
    corner_crops: bool = False,
) -> FeatureCache:
    """The cache with the features of every image of the data sets; computes those that are missing."""
    for data in data_sets:
        _list_left_out(f"{data.name}: {len(data.left_out):,} left out:", data.left_out)
    images = [example.image for data in data_sets for example in data.examples]
    features = FeatureCache(cache, encoder, images, flip=flip, corner_crops=corner_crops)
    say(
        f"{quantity(len(images), 'image')}; the features of {features.missing:,} are not cached yet: "
        f"{_size(features.missing_bytes)} in {features.directory}"
    )
    again = len(features.broken)
    if again:
        say(f"{quantity(again, 'image')} that could not be read before: trying again")
    features.fill(report=Progress("features", "image", len(images), len(images) - features.missing - again))
    broken = [f"{images[index]}: {why}" for index, why in features.broken.items()]
    if len(broken) == len(images):
        raise CaptionsError(
            f"{quantity(len(images), 'image')}, and none can be read (paths are relative to the file): {broken[0]}"
        )
    _list_left_out(f"{quantity(len(broken), 'broken image')} left out:", broken)
    return features


def _size(size: int) -> str:
    """In MB or GB, whichever is shorter to read."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _list_left_out(heading: str, sentences: Sequence[str]) -> None:
    if sentences:
        say(heading)
    for sentence in sentences[:_LISTED]:
        say(f"  {sentence}")
    if len(sentences) > _LISTED:
        say(f"  and {len(sentences) - _LISTED:,} more")


def _encode(encoder: Encoder) -> Callable[[np.ndarray], tf.Tensor]:
    """From images uint8 [batch, views, size, size, 3] to features float16 [batch, views, positions, channels]."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, encoder.size, encoder.size, 3], tf.uint8)])
    def encode(images: tf.Tensor) -> tf.Tensor:
        one_by_one = tf.cast(tf.reshape(images, [-1, *images.shape[2:]]), tf.float32)
        features = encoder.model(one_by_one, training=False)
        features = tf.reshape(features, [-1, tf.shape(images)[1], *features.shape[1:]])
        return tf.cast(features, tf.float16)

    return encode


def _digest(images: Sequence[Image]) -> str:
    """Of the contents of the images, in their order."""
    with ThreadPoolExecutor() as pool:
        return hashlib.sha256("\n".join(pool.map(_identity, images)).encode()).hexdigest()


def _identity(image: Image) -> str:
    """A text that changes when the image does, and stays the same in a copy of the file."""
    if isinstance(image, TfdsImage):
        return image.identity
    try:
        return hashlib.sha256(image.read_bytes()).hexdigest()
    except OSError:
        return f"{image} missing"
