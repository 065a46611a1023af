"""Starting from the model that ships: what was read back is what it computes with."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.directory import DEFAULT_MODEL, open_model
from beam_job.model.graph import bind, read_functions
from beam_job.model.vocabulary import Vocabulary
from tests.tiny_model import LABELS, write_tiny_model
from tests.train.colours import add_tiny_encoder
from train.data.text import build_vocabulary
from train.exporting.export import export
from train.exporting.warm_start import StartError, extended, load_decoder, load_encoder, shaped_like
from train.models.classifier import Classifier
from train.models.decoder import build_decoder
from train.models.encoders import build_encoder
from train.recipe import DEFAULT, REFERENCE


def test_the_shipped_model_is_read_back() -> None:
    model = open_model(DEFAULT_MODEL)
    encoder = load_encoder(model)
    assert (encoder.classifier is None) == (model.labels is None)
    recipe = shaped_like(model, REFERENCE)
    decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(model.vocabulary))
    load_decoder(model, decoder)
    images = np.random.default_rng(0).integers(256, size=(1, encoder.size, encoder.size, 3), dtype=np.uint8)
    features, state = decoder.bridge(encoder.model(tf.cast(images, tf.float32)))
    logits, _, _ = decoder.network([tf.constant([[model.vocabulary.start_id]]), state, features])
    functions = read_functions(DEFAULT_MODEL, model.manifest.format_version)
    encode, decode_step = (tf.function(bind(functions[name])) for name in ("encode", "decode_step"))
    encoded = encode(images=images)
    encoded.pop("labels", None)
    stepped = decode_step(tokens=tf.constant([model.vocabulary.start_id]), **encoded)
    np.testing.assert_allclose(encoded["features"], features, atol=1e-4)
    np.testing.assert_allclose(stepped["logits"], logits[:, 0], atol=1e-3)

    wider = build_decoder(REFERENCE, 8, 100)
    with pytest.raises(StartError, match="--fresh_decoder"):
        load_decoder(model, wider)


def test_a_classifier_is_carried_over(tmp_path) -> None:
    """Started from and exported again, the model is the same to the last bit."""
    add_tiny_encoder()
    encoder = build_encoder("tiny", weights=None)
    channels = encoder.model.output_shape[-1]
    random = np.random.default_rng(0)
    weights = (random.normal(size=shape).astype(np.float32) for shape in ((channels, 3), (3, 6), (6,)))
    encoder = encoder._replace(classifier=Classifier(*weights, LABELS))
    recipe, vocabulary = replace(DEFAULT, hidden_size=8), build_vocabulary(["a red wall is green"], 100)
    decoder = build_decoder(recipe, channels, len(vocabulary))
    first = export(tmp_path / "one", encoder, decoder, vocabulary, recipe, training={}, licence="")
    again = load_encoder(open_model(tmp_path / "one"))
    assert again.classifier
    assert again.classifier.labels == LABELS
    second = export(tmp_path / "two", again, decoder, vocabulary, recipe, training={}, licence="")
    assert second.fingerprint == first.fingerprint


def test_new_words_come_last() -> None:
    old = Vocabulary(["<end>", "dog", "<pad>", "[UNK]", "<start>"])
    new = Vocabulary(["<pad>", "[UNK]", "<start>", "<end>", "cat", "dog"])
    assert extended(old, new).tokens == (*old.tokens, "cat")


def test_a_model_that_train_did_not_export(tmp_path) -> None:
    write_tiny_model(tmp_path / "model")
    model = open_model(tmp_path / "model")
    with pytest.raises(StartError, match=r"export it with train|is not one that train knows"):
        load_encoder(model)
    with pytest.raises(StartError, match="--fresh_decoder"):
        shaped_like(model, REFERENCE)
