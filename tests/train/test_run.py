"""A tiny run from end to end: fit, export, read back, caption; and that a seed decides everything."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from beam_job.captioner import Captioner
from beam_job.decoding import Decoding
from beam_job.model_directory import ModelError, OpenModel, open_model
from tests.train.tiny_encoder import tiny_encoder
from train.captions import DataSet
from train.cli import main
from train.decoder import build_decoder
from train.encoders import Encoder
from train.export import export
from train.recipe import DEFAULT, REFERENCE, Recipe
from train.run import train
from train.text import build_vocabulary

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "white": (250, 250, 250)}
TINY = replace(
    DEFAULT, width=32, least_frequency=1, max_caption_length=8, dropout=0.0, batch_size=8, epochs=30, learning_rate=5e-3
)


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain pictures of four colours, one caption each, and one broken file."""
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for name, colour in COLOURS.items():
        for number in range(4):
            pixels = np.clip(np.array(colour) + np.random.default_rng(number).integers(-20, 20, (64, 64, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}-{number}.png")
            lines.append({"image": f"{name}-{number}.png", "captions": [f"a {name} wall", f"the wall is {name}"]})
    (folder / "broken.png").write_bytes(b"")
    lines.append({"image": "broken.png", "captions": ["nothing"]})
    file = folder / "captions.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return tiny_encoder(64)


@pytest.fixture(scope="module")
def model(captions: Path, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> OpenModel:
    return run(captions, encoder, tmp_path_factory.mktemp("run"))


def run(captions: Path, encoder: Encoder, folder: Path, recipe: Recipe = TINY, seed: int = 0) -> OpenModel:
    data = [DataSet.parse(f"{captions}:2")]
    train(data, encoder, recipe, folder / "model", cache=folder / "cache", seed=seed, licence="for tests")
    return open_model(folder / "model")


def test_the_manifest_tells_how_it_was_made(model: OpenModel, captions: Path) -> None:
    training = model.manifest.training
    assert training["data_sets"] == [{"name": f"{captions.parent.name}/captions.jsonl", "images": 17, "weight": 2}]
    assert training["images_left_out"] == 1
    assert training["captions_per_epoch"] == 64
    assert training["loss_by_epoch"][-1] < training["loss_by_epoch"][0]
    assert model.manifest.licence == "for tests"
    assert "nothing" in model.vocabulary


def test_the_model_learned_its_colours(model: OpenModel, captions: Path) -> None:
    captioner = Captioner(model, Decoding(), batch_size=4)
    pixels = [np.asarray(Image.open(captions.parent / f"{name}-0.png")) for name in COLOURS]
    found = captioner.caption(pixels, list(COLOURS))
    assert [name in caption[0].tokens for name, caption in zip(COLOURS, found, strict=True)] == [True] * 4


def test_a_seed_decides_every_weight(captions: Path, encoder: Encoder, tmp_path: Path) -> None:
    recipe = replace(TINY, epochs=2, dropout=0.3)
    one, same, other = (
        run(captions, encoder, tmp_path / name, recipe, seed) for name, seed in zip("abc", (3, 3, 4), strict=True)
    )
    assert one.manifest.training["loss_by_epoch"] == same.manifest.training["loss_by_epoch"]
    weights = [tf.saved_model.load(str(model.directory / "saved_model")).weights for model in (one, same, other)]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not np.array_equal(weights[0][name], weights[2][name]) for name in weights[0])


@pytest.mark.parametrize("recipe", [TINY, replace(REFERENCE, width=32)])
def test_the_exported_functions_are_the_keras_models(recipe: Recipe, encoder: Encoder, tmp_path: Path) -> None:
    vocabulary = build_vocabulary(["a red wall is green"], 100)
    decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(vocabulary))
    export(tmp_path / "model", encoder, decoder, vocabulary, recipe, training={}, metrics={}, licence="")
    loaded = tf.saved_model.load(str(tmp_path / "model" / "saved_model"))
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    tokens = tf.constant([2, 5])

    features, state = decoder.bridge(encoder.model(tf.cast(images, tf.float32)))
    logits, new_state, attention = decoder.words([tokens[:, None], state, features])
    encoded = loaded.encode(images)
    stepped = loaded.decode_step(tokens, encoded["state"], encoded["features"])
    # Weights are stored in half precision.
    np.testing.assert_allclose(encoded["features"], features, atol=2e-2)
    np.testing.assert_allclose(encoded["state"], state, atol=2e-2)
    np.testing.assert_allclose(stepped["logits"], logits[:, 0], atol=2e-2)
    np.testing.assert_allclose(stepped["state"], new_state, atol=2e-2)
    np.testing.assert_allclose(stepped["attention"], attention[:, 0], atol=2e-2)
    assert all(weight.dtype == tf.float16 for weight in loaded.weights.values())
    step = loaded.signatures["decode_step"].graph.as_graph_def()
    ops = {node.op for nodes in (step.node, *(made.node_def for made in step.library.function)) for node in nodes}
    assert "MatMul" in ops
    assert not any("While" in op for op in ops), "a loop over one word is time lost at every step"

    with pytest.raises(ModelError, match="exists already"):
        export(tmp_path / "model", encoder, decoder, vocabulary, recipe, training={}, metrics={}, licence="")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "epochs=many"], "epochs=many"),
        (["--encoder", "VGG16"], "VGG16 is unknown"),
        (["--captions", "none.jsonl"], "none.jsonl can't be read"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], message: str, captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model"
    assert main(["fit", "--captions", str(captions), "--output", str(output), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not output.exists()
