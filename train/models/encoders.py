"""Image encoders by name, each including the scaling of pixels that it expects.

    encoder = build_encoder("InceptionResNetV2")
    encoder.model(pixels)  # float32 0..255 [batch, 299, 299, 3] -> float32 [batch, 64, 1536]

So callers need not know that one network expects -1..1 and another subtracts means.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import keras
from keras import applications, layers

from train.errors import TrainError
from train.models.classifier import Classifier
from train.models.lite import SCALINGS, last_of_stage, lite
from train.models.published import PublishedError, load_published, published_classifier

Build = Callable[[tuple[int, int], str | None], keras.Model]
Scale = Callable[[keras.KerasTensor], keras.KerasTensor]


class EncoderError(TrainError):
    """An encoder that can't be built; the message says what to do."""


@dataclass(frozen=True)
class Spec:
    """How an encoder is built.

    Attributes:
      build: from an image size and "imagenet" or None to the network without its classifier.
      size: height and width of its training images, in pixels.
      scale: from pixels 0..255 to the range that its weights expect.
      frozen_to: the layer whose output is all that its last stages see, those at the coarsest grid; what comes before
        them stays as it is when they are fine-tuned.
    """

    build: Build
    size: int
    scale: Scale
    frozen_to: str


class Encoder(NamedTuple):
    """A network from pixels 0..255, float32 [batch, size, size, 3], to features [batch, positions, channels].

    ``classifier`` is that of ImageNet's weights where they come with one, or ``None``.
    """

    name: str
    size: int
    model: keras.Model
    classifier: Classifier | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        digest = hashlib.sha256()
        for variable in self.model.weights:
            digest.update(variable.numpy().tobytes())
        return digest.hexdigest()


def _application(network: Callable[..., keras.Model], **options: bool) -> Build:
    return lambda size, weights: network(include_top=False, weights=weights, input_shape=(*size, 3), **options)


def _lite(name: str) -> Spec:
    def build(size: tuple[int, int], weights: str | None) -> keras.Model:
        network = lite(name, size)
        if weights:
            load_published(network, name)
        return network

    return Spec(build, SCALINGS[name].size, layers.Rescaling(1 / 128, -127 / 128), last_of_stage(name, 5))


def _unchanged(pixels: keras.KerasTensor) -> keras.KerasTensor:
    return pixels


_minus_one_to_one = layers.Rescaling(1 / 127.5, -1.0)

ENCODERS = {
    "InceptionResNetV2": Spec(_application(applications.InceptionResNetV2), 299, _minus_one_to_one, "block17_20_ac"),
    "InceptionV3": Spec(_application(applications.InceptionV3), 299, _minus_one_to_one, "mixed7"),
    "ResNet50": Spec(
        _application(applications.ResNet50), 224, applications.resnet50.preprocess_input, "conv4_block6_out"
    ),
    # These scale pixels themselves.
    "EfficientNetV2B0": Spec(_application(applications.EfficientNetV2B0), 224, _unchanged, "block5e_add"),
    "EfficientNetV2B1": Spec(_application(applications.EfficientNetV2B1), 240, _unchanged, "block5f_add"),
    "EfficientNetV2B2": Spec(_application(applications.EfficientNetV2B2), 260, _unchanged, "block5f_add"),
    "EfficientNetV2B3": Spec(_application(applications.EfficientNetV2B3), 300, _unchanged, "block5g_add"),
    "EfficientNetV2S": Spec(_application(applications.EfficientNetV2S), 384, _unchanged, "block5i_add"),
    "EfficientNetV2M": Spec(_application(applications.EfficientNetV2M), 480, _unchanged, "block5n_add"),
    "EfficientNetV2L": Spec(_application(applications.EfficientNetV2L), 480, _unchanged, "block5s_add"),
    "MobileNetV3Small": Spec(_application(applications.MobileNetV3Small), 224, _unchanged, "expanded_conv_7_add"),
    "MobileNetV3Large": Spec(_application(applications.MobileNetV3Large), 224, _unchanged, "expanded_conv_11_add"),
    **{name: _lite(name) for name in SCALINGS},
}


def build_encoder(name: str, weights: str | os.PathLike[str] | None = "imagenet", size: int | None = None) -> Encoder:
    """Builds an encoder.

    Args:
      name: a key of ``ENCODERS``.
      weights: "imagenet" to download what Keras Applications offers, or for the EfficientNet-Lites to take what their
          packages hold (``train.models.published``); a file of Keras weights without the classifier; or None for
          random ones.
      size: height and width of the images in pixels; None for those of the encoder's own training.

    Raises:
      EncoderError: the name is unknown, or the weights can't be downloaded, read or used.
    """
    if name not in ENCODERS:
        raise EncoderError(f"Encoder {name} is unknown; choose one of {', '.join(ENCODERS)}.")
    spec = ENCODERS[name]
    size = size or spec.size
    backbone = _download(name, (size, size)) if weights == "imagenet" else spec.build((size, size), None)
    if weights not in ("imagenet", None):
        _load(backbone, name, weights)
    backbone.trainable = False
    pixels = keras.Input((size, size, 3))
    feature_map = backbone(spec.scale(pixels), training=False)
    features = layers.Reshape((-1, feature_map.shape[-1]))(feature_map)
    classifier = published_classifier(name) if weights == "imagenet" and name in SCALINGS else None
    return Encoder(name, size, keras.Model(pixels, features, name="encoder"), classifier)


def _download(name: str, size: tuple[int, int]) -> keras.Model:
    try:
        return ENCODERS[name].build(size, "imagenet")
    except PublishedError as error:
        raise EncoderError(str(error)) from error
    except ValueError as error:  # too small a size, say
        raise EncoderError(f"{name}, {size[0]} x {size[1]} pixels: {error}") from error
    except Exception as error:  # keras.utils.get_file raises a bare Exception
        raise EncoderError(
            f"The ImageNet weights of {name} can't be downloaded ({error}). On a machine without internet, fetch the "
            "file elsewhere and give it by --encoder_weights FILE."
        ) from error


def _load(backbone: keras.Model, name: str, weights: str | os.PathLike[str]) -> None:
    if not os.path.isfile(weights):
        raise EncoderError(f"--encoder_weights {weights}: there is no such file.")
    try:
        with warnings.catch_warnings(action="ignore"):  # one for every layer that does not fit, before the error
            backbone.load_weights(weights)
    except Exception as error:  # h5py and Keras have many ways to say no
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderError(f"--encoder_weights {weights} does not hold weights of {name}: {reason}") from error
