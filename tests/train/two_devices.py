"""What must hold on two devices, checked in a process of its own, whose CPU TensorFlow takes for two.

``python -m tests.train.two_devices [CHECK ...]`` prints what went wrong, by the name of the check, as JSON.
"""

import contextlib
import functools
import inspect
import io
import json
import sys
import tempfile
import traceback
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from beam_job.model.directory import open_model
from tests.train.colours import QUICK, add_tiny_encoder, write_colours
from train import cli, run
from train.data.batches import Batches
from train.data.examples import EncodedCaptions
from train.data.text import build_vocabulary
from train.fitting.checkpoint import Checkpoint
from train.fitting.optimizer import adam
from train.fitting.replicas import part, strategy_for, summed, vary_dropout
from train.fitting.self_critical import self_critical
from train.fitting.teacher_forcing import fit
from train.models.decoder import build_decoder
from train.recipe import DEFAULT, Recipe

DEVICES = ["CPU:0", "CPU:1"]
# Seven captions don't divide by two; this short a gradient is always clipped.
RECIPE = replace(
    DEFAULT,
    hidden_size=8,
    max_caption_length=8,
    batch_size=7,
    epochs=2,
    dropout=0.0,
    clip_norm=0.05,
    schedule="constant",
)
CAPTIONS = [
    "a red wall",
    "the wall",
    "a blue sea and a red wall",
    "the sea",
    "blue",
    "a wall and the sea",
    "red sea",
] * 2
FEATURES = np.random.default_rng(0).normal(size=(14, 1, 3, 4)).astype(np.float16)
VOCABULARY = build_vocabulary(CAPTIONS, 100)


def fitted(recipe: Recipe, devices: list[str], **options) -> list[np.ndarray]:
    """All variables of decoder and optimizer after the recipe's epochs, read back from the checkpoint."""
    keras.utils.set_random_seed(0)
    tokens = [[VOCABULARY.start_id, *VOCABULARY.encode(text.split()), VOCABULARY.end_id] for text in CAPTIONS]
    pad_id, strategy = VOCABULARY.pad_id, strategy_for(recipe, devices)
    with strategy.scope():
        decoder = build_decoder(recipe, 4, len(VOCABULARY))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = options.pop("checkpoint", None) or Checkpoint(Path(folder) / "one.npz", every_seconds=0)
        captions = EncodedCaptions(np.arange(14), tokens, np.zeros(14, int))
        batches = Batches(FEATURES, captions, pad_id=pad_id, batch_size=recipe.batch_size, seed=0)
        fit(decoder, recipe, batches, pad_id=pad_id, strategy=strategy, checkpoint=checkpoint, **options)
        for variable in decoder.trainable_variables:
            copies = strategy.experimental_local_results(variable.value)
            assert len(copies) == len(devices)
            np.testing.assert_array_equal(copies[0].numpy(), copies[-1].numpy())
        return checkpoint.restore().arrays["variables"]


@functools.cache
def undisturbed(devices: int, dropout: float = 0.0) -> tuple[list[np.ndarray], dict[int, bytes]]:
    """The same of a run of four steps; and the checkpoints that an interruption after some of them would leave."""
    left = {}

    def keep(step, measured):  # the step is not saved yet
        if step > 1:
            left[step - 1] = checkpoint.file.read_bytes()

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "one.npz", every_seconds=0)
        recipe = replace(RECIPE, dropout=dropout)
        return fitted(recipe, DEVICES[:devices], checkpoint=checkpoint, report=keep), left


def resumed(left: bytes, recipe: Recipe, devices: list[str]) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "one.npz", every_seconds=0)
        checkpoint.file.write_bytes(left)
        steps = []
        found = fitted(recipe, devices, checkpoint=checkpoint, report=lambda step, measured: steps.append(step))
        assert 0 < len(steps) < 4, "it began where the other one stopped"
        return found


def rewarded(recipe: Recipe, devices: list[str]) -> list[np.ndarray]:
    """The same after self-critical training."""
    keras.utils.set_random_seed(0)
    strategy, references = strategy_for(recipe, devices), {place: [text] for place, text in enumerate(CAPTIONS)}
    with strategy.scope():
        decoder = build_decoder(recipe, 4, len(VOCABULARY))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "one.npz", every_seconds=0)
        data = decoder, recipe, FEATURES, references, VOCABULARY
        self_critical(*data, epoch_images=range(14), seed=0, strategy=strategy, checkpoint=checkpoint)
        return checkpoint.restore().arrays["variables"]


def assert_near(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


def fit_takes_the_steps_of_the_whole_batch():
    assert_near(undisturbed(2)[0], undisturbed(1)[0])


def fit_in_float16_takes_them_too():
    found = fitted(RECIPE, DEVICES, precision="float16")
    assert_near(found, fitted(RECIPE, DEVICES[:1], precision="float16"))


def fit_of_the_reference_decoder_takes_them_too():
    recipe = replace(RECIPE, decoder="reference", clip_norm=None, batch_size=6)
    assert_near(fitted(recipe, DEVICES), fitted(recipe, DEVICES[:1]))


def self_critical_training_takes_them_too():
    recipe = replace(RECIPE, decoder="reference", self_critical_samples_per_image=2, self_critical_epochs=1)
    assert_near(rewarded(recipe, DEVICES), rewarded(recipe, DEVICES[:1]))


def an_interrupted_run_ends_as_an_undisturbed_one():
    expected, left = undisturbed(2, dropout=0.3)
    found = resumed(left[1], replace(RECIPE, dropout=0.3), DEVICES)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def a_run_goes_on_with_fewer_devices():
    _, left = undisturbed(2)
    assert_near(resumed(left[2], RECIPE, DEVICES[:1]), undisturbed(1)[0])


def every_row_is_on_one_device():
    strategy = strategy_for(RECIPE, DEVICES)
    for rows in (2, 7, 8):
        parts = strategy.run(lambda rows=rows: part(tf.range(rows))[0])
        assert sorted(np.concatenate([one.numpy() for one in parts.values])) == list(range(rows))


def dropout_differs_from_device_to_device():
    strategy = strategy_for(RECIPE, DEVICES)
    with strategy.scope():
        model = keras.Sequential([keras.Input((1000,)), keras.layers.Dropout(0.5)])

    @tf.function
    def dropped():
        vary_dropout(model.variables)
        return model(tf.ones([1, 1000]), training=True)

    first, second = (one.numpy() for one in strategy.run(dropped).values)
    assert 0.4 < np.mean(first == second) < 0.6
    assert not np.array_equal(first, strategy.run(dropped).values[0].numpy())


def overflow_on_one_device_leaves_the_weights_of_all():
    strategy = strategy_for(RECIPE, DEVICES)
    with strategy.scope():
        weight = keras.Variable([1.0, 2.0])
        optimizer = adam(0.1, 1.0, "float16")
        optimizer.build([weight])
    scale = float(optimizer.dynamic_scale.numpy())

    @tf.function
    def step(worst):
        def learn():
            here = tf.distribute.get_replica_context().replica_id_in_sync_group
            gradient = tf.where(here == 1, tf.fill([2], worst), [1.0, 1.0])
            optimizer.apply(summed([gradient]), [weight])

        strategy.run(learn)

    step(tf.constant(np.inf, tf.float32))
    np.testing.assert_array_equal(weight.numpy(), [1.0, 2.0])
    assert float(optimizer.dynamic_scale.numpy()) == scale / 2
    step(tf.constant(1.0))
    assert np.all(weight.numpy() < [1.0, 2.0])


def a_run_by_the_command_line_exports_a_model():
    add_tiny_encoder()
    run.strategy_for = functools.partial(strategy_for, devices=DEVICES)
    told = io.StringIO()
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(told):
        folder = Path(name)
        captions = str(write_colours(folder))
        data = ["--captions", captions, "--dev", captions, "--encoder", "tiny", "--cache", str(folder / "cache")]
        settings = [
            "--set",
            *QUICK,
            "batch_size=9",
            "self_critical_epochs=1",
            "self_critical_samples_per_image=3",
            "epochs=3",
        ]
        assert cli.main(["fit", *data, "--output", str(folder / "model"), *settings]) == 0, told.getvalue()
        training = open_model(folder / "model").manifest.training
        with np.load(folder / "model" / "weights.npz") as weights:
            assert len(weights.files) > 10
    assert "training on 2 CPUs, which share each batch" in told.getvalue()
    assert training["loss_by_epoch"][-1] < training["loss_by_epoch"][0]
    assert len(training["reward_by_epoch"]) == 1


CHECKS = {
    name: check
    for name, check in list(globals().items())
    if inspect.isfunction(check) and check.__module__ == __name__ and not inspect.signature(check).parameters
}


def main() -> None:
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, 2 * [tf.config.LogicalDeviceConfiguration()])
    tf.config.experimental.enable_op_determinism()
    wrong = {}
    for name in sys.argv[1:] or CHECKS:
        try:
            CHECKS[name]()
        except Exception:
            wrong[name] = traceback.format_exc()
    print(json.dumps(wrong))


if __name__ == "__main__":
    main()
