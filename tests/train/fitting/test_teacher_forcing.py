"""Teacher forcing: a step is the same, however many captions of an image share it."""

from dataclasses import replace

import keras
import numpy as np

from train.data.batches import Batches
from train.data.examples import EncodedCaptions
from train.fitting.teacher_forcing import fit
from train.models.decoder import build_decoder
from train.recipe import DEFAULT

FEATURES = np.random.default_rng(0).normal(size=(3, 1, 4, 5)).astype(np.float16)
IMAGES = np.array([0, 0, 1, 1, 2])  # the last one has a caption less than the others
TOKENS = [[1, 4, 2], [1, 5, 6, 2], [1, 6, 2], [1, 4, 4, 5, 2], [1, 5, 2]]


def learned(captions_per_image_per_batch: int, batch_size: int) -> list[np.ndarray]:
    """The weights after one step of all captions."""
    recipe = replace(DEFAULT, hidden_size=8, dropout=0.0, epochs=1, schedule="constant", mixed_precision=False)
    keras.utils.set_random_seed(0)
    decoder = build_decoder(recipe, 5, 7)
    batches = Batches(
        FEATURES,
        EncodedCaptions(IMAGES, TOKENS, np.zeros(len(TOKENS), int)),
        pad_id=0,
        batch_size=batch_size,
        captions_per_image_per_batch=captions_per_image_per_batch,
        seed=0,
    )
    assert batches.steps_per_epoch == 1
    fit(decoder, recipe, batches, pad_id=0)
    return [variable.numpy() for variable in decoder.trainable_variables]


def test_captions_that_stand_together_teach_what_they_teach_apart() -> None:
    for apart, together in zip(learned(1, 5), learned(2, 6), strict=True):
        np.testing.assert_allclose(together, apart, atol=2e-5)
