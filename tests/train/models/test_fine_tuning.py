"""Fine-tuning: an encoder in two is the same encoder, and only its last stages learn, more slowly than the decoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.directory import OpenModel, open_model
from tests.train.colours import QUICK, add_tiny_encoder, run_and_kill, write_colours
from train.cli import main
from train.fitting.optimizer import adam
from train.models.decoder import Decoder, build_decoder
from train.models.encoders import ENCODERS, Encoder, build_encoder
from train.models.fine_tuning import split, with_tail
from train.recipe import DEFAULT

ROOT = Path(__file__).parents[3]
QUICK_TO_BUILD = ("EfficientNetLite0", "EfficientNetLite2", "MobileNetV3Small", "ResNet50", "EfficientNetV2B0")
SETTINGS = [
    "--set",
    *QUICK,
    "epochs=4",
    "patience=4",
    "self_critical_epochs=1",
    "fine_tune_encoder=true",
    "captions_per_image_per_batch=2",
    "encoder_learning_rate=1.0",
]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK_TO_BUILD else [pytest.mark.slow]) for name in ENCODERS]
)
def test_both_parts_are_the_whole(name: str) -> None:
    encoder = build_encoder(name, weights=None, size=96 if name.startswith("Inception") else 64)
    trunk, tail = split(encoder)
    pixels = np.random.default_rng(0).integers(256, size=(2, encoder.size, encoder.size, 3)).astype(np.float32)
    between = trunk.model(pixels)
    np.testing.assert_array_equal(tail(between), encoder.model(pixels))
    assert between.shape[1] == 16  # the last stages are those at the coarsest grid, which halves 4 x 4 once more
    assert len(trunk.model.weights) + len(tail.weights) == len(encoder.model.weights)
    assert trunk.digest != encoder.digest
    assert not encoder.model.trainable_variables


def tuned(name: str, size: int | None = None) -> tuple[Encoder, Decoder]:
    """An encoder and a decoder, ready for fine-tuning."""
    encoder = build_encoder(name, weights=None, size=size)
    decoder = build_decoder(replace(DEFAULT, hidden_size=8), encoder.model.output_shape[-1], 10)
    return encoder, with_tail(decoder, split(encoder)[1])


def test_the_statistics_of_batches_are_left_alone() -> None:
    encoder, decoder = tuned("MobileNetV3Small", 64)
    before = [weight.numpy().copy() for weight in encoder.model.non_trainable_variables]
    feature_map = np.random.default_rng(0).normal(size=[2, *decoder.bridge.input_shape[1:]]).astype(np.float32)
    tail = decoder.bridge.layers[1]
    np.testing.assert_array_equal(tail(feature_map, training=True), tail(feature_map, training=False))
    decoder.bridge(feature_map, training=True)
    after = encoder.model.non_trainable_variables
    assert all(np.array_equal(weight, then) for weight, then in zip(after, before, strict=True))


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_encoder_learns_slower(precision) -> None:
    add_tiny_encoder()
    _, decoder = tuned("tiny")
    variables = decoder.trainable_variables
    optimizer = adam(0.01, None, precision, slow=decoder.slow, share=0.1)
    optimizer.build(variables)
    before = [variable.numpy().copy() for variable in variables]

    @tf.function
    def step() -> None:
        optimizer.apply([1000 * tf.ones(variable.shape) for variable in variables], variables)

    step()
    slow = {id(variable) for variable in decoder.slow}
    assert 0 < len(slow) < len(variables)
    for variable, then in zip(variables, before, strict=True):  # Adam's first step is as long as the rate
        np.testing.assert_allclose(then - variable, 0.001 if id(variable) in slow else 0.01, rtol=1e-2, atol=1e-6)


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    add_tiny_encoder()
    return write_colours(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(captions: Path) -> OpenModel:
    assert main(arguments(captions, captions.parent / "model")) == 0
    return open_model(captions.parent / "model")


def arguments(captions: Path, output: Path, *more: str) -> list[str]:
    data = ["fit", "--captions", str(captions), "--dev", str(captions), "--encoder", "tiny"]
    return [*data, "--cache", str(captions.parent / "cache"), "--output", str(output), *SETTINGS, *more]


def encoder_weights(model: OpenModel) -> list[np.ndarray]:
    with np.load(model.directory / "weights.npz") as weights:
        return [weights[name] for name in sorted(weights) if name.startswith("encoder/")]


def untuned() -> list[np.ndarray]:
    return [weight.numpy().astype(np.float16) for weight in build_encoder("tiny", weights=None).model.weights]


def test_what_is_exported_is_what_was_learned(model: OpenModel) -> None:
    changed = [
        not np.array_equal(found, before) for found, before in zip(encoder_weights(model), untuned(), strict=True)
    ]
    # The convolution of the trunk; scale, offset, mean and variance of the normalisation, and the last convolution.
    assert changed == [False, False, True, True, False, False, True, True]
    assert model.manifest.training["recipe"]["fine_tune_encoder"]


def test_a_frozen_run_leaves_the_encoder_alone(captions: Path, tmp_path: Path) -> None:
    frozen = ["fine_tune_encoder=false", "epochs=1", "self_critical_epochs=0", "decoder=reference"]
    assert main(arguments(captions, tmp_path / "model", *frozen)) == 0
    found = encoder_weights(open_model(tmp_path / "model"))
    assert all(np.array_equal(weight, before) for weight, before in zip(found, untuned(), strict=True))


def test_what_was_learned_is_started_from(model: OpenModel, captions: Path, tmp_path: Path) -> None:
    command = ["fit", "--start", str(model.directory), "--captions", str(captions), "--cache", str(tmp_path / "cache")]
    still = [*SETTINGS, "self_critical_epochs=0", "epochs=1", "learning_rate=0.0"]
    assert main([*command, "--output", str(tmp_path / "model"), *still]) == 0
    found = encoder_weights(open_model(tmp_path / "model"))
    assert all(np.array_equal(weight, before) for weight, before in zip(found, encoder_weights(model), strict=True))


def test_features_are_made_ahead(model: OpenModel, captions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["features", "--captions", str(captions), "--encoder", "tiny", "--cache", str(captions.parent / "cache")]
    assert main([*command, "--set", "fine_tune_encoder=true"]) == 0
    told = capsys.readouterr().err
    assert "4 x 6 numbers" in told
    assert "the features of 0 are not cached yet" in told


def test_killed_and_resumed_equals_undisturbed(
    model: OpenModel, captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = arguments(captions, tmp_path / "model", "--checkpoint_seconds", "0")
    run_and_kill(command, "fit", steps=1)
    assert list((captions.parent / "cache" / "runs").glob("*-fit.npz"))
    capsys.readouterr()
    assert main(command) == 0
    assert "it resumes from its checkpoint" in capsys.readouterr().err
    resumed = open_model(tmp_path / "model")
    assert resumed.manifest.training["loss_by_epoch"] == model.manifest.training["loss_by_epoch"]
    for found, undisturbed in zip(encoder_weights(resumed), encoder_weights(model), strict=True):
        np.testing.assert_array_equal(found, undisturbed)
