"""The decoder's golden tests: the recipe's parameter counts, and that stepping equals the teacher-forced pass."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from train.models.decoder import build_decoder
from train.models.encoders import build_encoder
from train.recipe import DEFAULT, REFERENCE, Recipe

SMALL = {"hidden_size": 16, "dropout": 0.5}


def test_reference_parameter_counts() -> None:
    encoder = build_encoder("InceptionResNetV2", weights=None)
    decoder = build_decoder(REFERENCE, encoder.model.output_shape[-1], 20_000)
    assert encoder.model.count_params() == 54_336_736
    assert encoder.model.output_shape == (None, 64, 1536)
    assert decoder.bridge.count_params() == 786_944
    assert decoder.network.count_params() == 22_076_960


@pytest.mark.parametrize(
    "recipe",
    [
        REFERENCE,
        replace(DEFAULT, **SMALL),
        replace(DEFAULT, tie_embeddings=True, **SMALL),
        replace(REFERENCE, **SMALL),
    ],
)
def test_stepping_equals_the_teacher_forced_pass(recipe: Recipe) -> None:
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    decoder = build_decoder(recipe, 24, 50)
    features, start = decoder.bridge(tf.constant(random.normal(size=(3, 9, 24)), tf.float32))
    tokens = tf.constant(random.integers(50, size=(3, 12)), tf.int32)

    logits, last, attention = decoder.network([tokens, start, features])
    state, stepped = start, []
    for position in range(tokens.shape[1]):
        step_logits, state, step_attention = decoder.network([tokens[:, position : position + 1], state, features])
        np.testing.assert_allclose(step_attention[:, 0], attention[:, position], atol=1e-5)
        stepped.append(step_logits[:, 0])
    np.testing.assert_allclose(np.stack(stepped, 1), logits, atol=1e-5)
    np.testing.assert_allclose(state, last, atol=1e-5)
    np.testing.assert_allclose(np.sum(attention, -1), 1, atol=1e-5)


def test_the_image_reaches_the_default_state_and_not_the_reference_state() -> None:
    one, other = tf.zeros((1, 4, 8)), tf.ones((1, 4, 8))
    for recipe, differs in ((replace(DEFAULT, **SMALL), True), (replace(REFERENCE, **SMALL), False)):
        bridge = build_decoder(recipe, 8, 20).bridge
        assert np.any(bridge(one)[1] != bridge(other)[1]) == differs
