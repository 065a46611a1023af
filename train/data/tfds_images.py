"""Captioned images of a prepared TensorFlow data set: ``coco_captions`` above all.

    split = TfdsSplit("coco_captions", "train+restval", data_dir="gs://bucket/tfds")
    for image, captions in split.examples():
        image.read_bytes()  # as it was downloaded: JPEG

Captions are read without the images. Images are read in order, without decoding them here: they go through the one
function that turns bytes into pixels, like those of files.
"""

import os
from collections.abc import Iterator
from threading import Lock
from typing import Any, NamedTuple

from beam_job.messages.invocation import pip_install
from train.errors import TrainError

# Threads ask for neighbouring images slightly out of order. From further away, reading starts anew.
_NEAR = 256


class TfdsError(TrainError):
    """A data set that can't be loaded; the message says why and what to do."""


class TfdsSplit:
    """One split of a data set that has ``image`` and ``captions/text``, as ``coco_captions`` does."""

    def __init__(self, name: str, split: str, data_dir: str | os.PathLike[str] | None = None):
        """Prepares the data set where that was not done yet, as ``tfds.load`` does: COCO is a download of 38 GiB.

        Args:
          name: of the data set in TensorFlow Datasets, ``coco_captions``.
          split: ``train``, ``train+restval``, ``val[:100]``, ...
          data_dir: where TensorFlow Datasets keeps its data, a Cloud Storage path too; None for its own default.

        Raises:
          TfdsError: the library is missing, or the data set or the split can't be had.
        """
        self.name = f"tfds:{name}:{split}"
        self._arguments = {"name": name, "split": split, "data_dir": data_dir, "shuffle_files": False}
        try:
            import tensorflow_datasets as tfds
        except ImportError as error:
            needed = pip_install("tensorflow-datasets", "importlib-resources")
            raise TfdsError(f"{self.name} needs TensorFlow Datasets: `{needed}`.") from error
        self._tfds = tfds
        try:
            self._info = tfds.load(**self._arguments, with_info=True)[1]
            size = self._info.splits[split].num_examples
        except Exception as error:  # TensorFlow Datasets has many ways to say no
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TfdsError(
                f"{self.name} can't be loaded from {data_dir or 'the default folder of TensorFlow Datasets'}: {reason}"
            ) from error
        if not {"image", "captions"} <= set(self._info.features):
            raise TfdsError(f"{self.name} has no image and captions; it has {', '.join(self._info.features)}.")
        self.identity = f"{self._info.full_name} {split} {size} {self._info.dataset_size}"
        self._lock = Lock()
        self._images: Iterator[Any] = iter(())
        self._next = -_NEAR
        self._skipped: dict[int, bytes] = {}

    def examples(self) -> Iterator[tuple["TfdsImage", tuple[str, ...]]]:
        """Every image of the split, unread, and its captions."""
        wanted: dict[str, Any] = {"captions": {"text"}}
        if "image/filename" in self._info.features:
            wanted["image/filename"] = True
        for index, record in enumerate(self._read(self._tfds.decode.PartialDecoding(wanted), 0)):
            name = record.get("image/filename", str(index).encode()).decode()
            yield TfdsImage(self, index, name), tuple(text.decode() for text in record["captions"]["text"])

    def image(self, index: int) -> bytes:
        """The file of that image; fast when asked for in about the order of the data set. Any thread may ask."""
        with self._lock:
            if index in self._skipped:
                return self._skipped.pop(index)
            if not self._next <= index < self._next + _NEAR:
                as_bytes = {"image": self._tfds.decode.SkipDecoding()}
                self._images = self._read(self._tfds.decode.PartialDecoding({"image": True}, decoders=as_bytes), index)
                self._next = index
                self._skipped.clear()
            while True:
                data, number = next(self._images)["image"], self._next
                self._next += 1
                if number == index:
                    return data
                self._skipped[number] = data

    def _read(self, decoders: Any, start: int) -> Iterator[Any]:
        # One file after another: that is the order in which images are counted.
        in_order = self._tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False, skip_prefetch=True)
        records = self._tfds.load(**self._arguments, decoders=decoders, read_config=in_order)
        return iter(self._tfds.as_numpy(records.skip(start)))


class TfdsImage(NamedTuple):
    """An image of a split, read when asked for; it is used as a ``Path`` is."""

    split: TfdsSplit
    number: int
    name: str

    def read_bytes(self) -> bytes:
        return self.split.image(self.number)

    @property
    def identity(self) -> str:
        """What changes when the image does."""
        return f"{self.split.identity} {self.number} {self.name}"

    def __str__(self) -> str:
        return f"{self.split.name}/{self.name}"
