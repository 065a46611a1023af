"""Starting from the model that ships: what was read back is what it computes with."""

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.directory import DEFAULT_MODEL, open_model
from beam_job.model.graph import bind, read_functions
from beam_job.model.vocabulary import Vocabulary
from tests.tiny_model import write_tiny_model
from train.exporting.warm_start import StartError, extended, load_decoder, load_encoder, shaped_like
from train.models.decoder import build_decoder
from train.recipe import REFERENCE


def test_the_shipped_model_is_read_back() -> None:
    model = open_model(DEFAULT_MODEL)
    encoder = load_encoder(model)
    recipe = shaped_like(model, REFERENCE)
    decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(model.vocabulary))
    load_decoder(model, decoder)
    images = np.random.default_rng(0).integers(256, size=(1, encoder.size, encoder.size, 3), dtype=np.uint8)
    features, state = decoder.bridge(encoder.model(tf.cast(images, tf.float32)))
    logits, _, _ = decoder.network([tf.constant([[model.vocabulary.start_id]]), state, features])
    functions = read_functions(DEFAULT_MODEL, model.manifest.format_version)
    encode, decode_step = (tf.function(bind(functions[name])) for name in ("encode", "decode_step"))
    encoded = encode(images=images)
    stepped = decode_step(tokens=tf.constant([model.vocabulary.start_id]), **encoded)
    np.testing.assert_allclose(encoded["features"], features, atol=1e-4)
    np.testing.assert_allclose(stepped["logits"], logits[:, 0], atol=1e-3)

    wider = build_decoder(REFERENCE, 8, 100)
    with pytest.raises(StartError, match="--fresh_decoder"):
        load_decoder(model, wider)


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
