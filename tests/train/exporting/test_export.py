"""The exported functions against the Keras models that they were made of."""

from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.directory import open_model
from beam_job.model.graph import bind, fold, open_functions, read_functions
from beam_job.model.manifest import ModelError
from tests.tiny_model import LABELS
from tests.train.tiny_encoder import tiny_encoder
from train.data.text import build_vocabulary
from train.exporting.export import export
from train.models.classifier import Classifier
from train.models.decoder import build_decoder
from train.recipe import DEFAULT, REFERENCE, Recipe


@pytest.mark.parametrize("recipe", [replace(DEFAULT, hidden_size=16), replace(REFERENCE, hidden_size=16)])
@pytest.mark.parametrize("gpus", [[], ["GPU:0"]])
def test_the_exported_functions_are_the_keras_models(recipe: Recipe, gpus: list[str], tmp_path: Path) -> None:
    with mock.patch("train.models.gru.gpus", return_value=gpus):  # a model exported on a GPU captions on CPUs, too
        exported_functions_are_the_keras_models(recipe, tmp_path)


def exported_functions_are_the_keras_models(recipe: Recipe, tmp_path: Path) -> None:
    encoder, vocabulary = tiny_encoder(), build_vocabulary(["a red wall is green"], 100)
    decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(vocabulary))
    export(tmp_path / "model", encoder, decoder, vocabulary, recipe, training={}, licence="")
    functions = read_functions(tmp_path / "model", 2)
    encode, decode_step = (tf.function(bind(functions[name])) for name in ("encode", "decode_step"))
    images = np.random.default_rng(0).integers(256, size=(2, 16, 16, 3), dtype=np.uint8)
    tokens = tf.constant([2, 5])

    features, state = decoder.bridge(encoder.model(tf.cast(images, tf.float32)))
    logits, new_state, attention = decoder.network([tokens[:, None], state, features])
    encoded = encode(images=images)
    stepped = decode_step(tokens=tokens, **encoded)
    # Weights are stored in half precision.
    np.testing.assert_allclose(encoded["features"], features, atol=2e-2)
    np.testing.assert_allclose(encoded["state"], state, atol=2e-2)
    np.testing.assert_allclose(stepped["logits"], logits[:, 0], atol=2e-2)
    np.testing.assert_allclose(stepped["state"], new_state, atol=2e-2)
    np.testing.assert_allclose(stepped["attention"], attention[:, 0], atol=2e-2)
    with np.load(tmp_path / "model" / "weights.npz") as weights:
        parts = {"encoder": encoder.model, "bridge": decoder.bridge, "decoder": decoder.network}
        names = {
            f"{part}/{index:03d}/{weight.name}" for part, m in parts.items() for index, weight in enumerate(m.weights)
        }
        assert set(weights.files) == names
        assert all(weights[name].dtype == np.float16 for name in names)
    ops = {node.op for node in functions["decode_step"].graph_def.node}
    assert "MatMul" in ops
    assert not any("While" in op or "Cudnn" in op for op in ops), "a loop over one word is time lost at every step"

    with pytest.raises(ModelError, match="exists already"):
        export(tmp_path / "model", encoder, decoder, vocabulary, recipe, training={}, licence="")


def test_the_classifier_is_exported_with_its_labels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    down, up, bias = (random.normal(size=shape).astype(np.float32) for shape in ((5, 3), (3, 6), (6,)))
    encoder = tiny_encoder()._replace(classifier=Classifier(down, up, bias, LABELS))
    vocabulary, recipe = build_vocabulary(["a red wall is green"], 100), replace(DEFAULT, hidden_size=16)
    decoder = build_decoder(recipe, 5, len(vocabulary))
    export(tmp_path / "model", encoder, decoder, vocabulary, recipe, training={}, licence="")
    model = open_model(tmp_path / "model")
    assert model.labels == LABELS
    images = np.random.default_rng(0).integers(256, size=(2, 16, 16, 3), dtype=np.uint8)
    features = encoder.model(tf.cast(images, tf.float32)).numpy()
    expected = features.mean(axis=1) @ down @ up + bias
    encode = open_functions(model)[0]
    np.testing.assert_allclose(tf.function(bind(encode))(images=images)["labels"], expected, atol=2e-2)
    fold(encode)  # both halves of its kernel are one weight then
    assert (5, 6) in {values.shape for values in encode.weights.values()}
    assert not {(5, 3), (3, 6)} & {values.shape for values in encode.weights.values()}
    np.testing.assert_allclose(tf.function(bind(encode))(images=images)["labels"], expected, atol=2e-2)
    with np.load(model.directory / "weights.npz") as weights:
        stored = {name: weights[name] for name in weights.files if name.startswith("classifier/")}
    assert {name: (values.shape, values.dtype) for name, values in stored.items()} == {
        "classifier/down": ((5, 3), np.float16),
        "classifier/up": ((3, 6), np.float16),
        "classifier/bias": ((6,), np.float16),
    }


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    encoder, vocabulary = tiny_encoder(), build_vocabulary(["a red wall is green"], 100)
    recipe = replace(DEFAULT, hidden_size=16)
    decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(vocabulary))
    fingerprints = set()
    for name in ("one", "two", "three"):
        made = export(tmp_path / name, encoder, decoder, vocabulary, recipe, training={}, licence="")
        fingerprints.add(made.fingerprint)
    assert len(fingerprints) == 1
