"""EfficientNet-Lite0: an image encoder small enough to ship with the captions' decoder.

    backbone = lite0((224, 224))
    backbone.load_weights("efficientnet_lite0_imagenet_notop.weights.h5")
    backbone(images)  # float32 [batch, 7, 7, 1280], images scaled to (pixels - 127) / 128

Lite0 is EfficientNet-B0 made for small devices: no squeeze-and-excitation, ReLU6 instead of swish
(Tan and Le 2019, https://arxiv.org/abs/1905.11946; the "lite" variants of google's ``tpu`` repository).
Keras Applications does not have it.
"""

from typing import NamedTuple

import keras


class Stage(NamedTuple):
    """A run of equal blocks; only the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def lite0(image_size: tuple[int, int]) -> keras.Model:
    """The network without its classifier: [batch, height, width, 3] -> [batch, height / 32, width / 32, 1280]."""
    images = keras.Input((*image_size, 3))
    x = _convolution(images, 32, kernel=3, stride=2)
    for number, stage in enumerate(STAGES, 1):
        for repeat in range(stage.repeats):
            x = _block(x, stage, stage.stride if repeat == 0 else 1, f"block{number}{'abcd'[repeat]}")
    x = _convolution(x, 1280)
    return keras.Model(images, x, name="efficientnet_lite0")


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
