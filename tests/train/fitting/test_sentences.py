"""Learning from sentences without photos."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from train.data.batches import Batches
from train.data.examples import encode_sentences
from train.data.text import build_vocabulary
from train.fitting.checkpoint import Checkpoint
from train.fitting.loop import History
from train.fitting.sentences import NO_IMAGE, learn_sentences
from train.models.decoder import Decoder, build_decoder
from train.recipe import DEFAULT, Recipe

SENTENCES = ["a red bus stops", "a red car stops", "the blue bird sings"] * 8
VOCABULARY = build_vocabulary(SENTENCES, 100)


def learn(recipe: Recipe, folder: Path) -> tuple[Decoder, list[np.ndarray], History]:
    """The decoder, its variables before, and the curve."""
    keras.utils.set_random_seed(0)
    decoder = build_decoder(recipe, 4, len(VOCABULARY))
    before = [variable.numpy() for variable in decoder.bridge.trainable_variables]
    captions = encode_sentences(SENTENCES, VOCABULARY, recipe)
    history = learn_sentences(
        decoder,
        recipe,
        Batches(NO_IMAGE, captions, pad_id=VOCABULARY.pad_id, batch_size=8, seed=0),
        pad_id=VOCABULARY.pad_id,
        precision="float32",
        strategy=tf.distribute.get_strategy(),
        checkpoint=Checkpoint(folder / "sentences.npz", 1000),
        report=lambda step, measured: None,
    )
    return decoder, before, history


@pytest.mark.parametrize("kind", ["guided", "reference"])
def test_the_decoder_knows_what_word_follows_and_the_bridge_stays(kind, tmp_path: Path) -> None:
    recipe = replace(DEFAULT, decoder=kind, hidden_size=16, dropout=0.0, sentence_epochs=30, learning_rate=0.02)
    decoder, before, history = learn(recipe, tmp_path)
    assert history.losses[-1] < history.losses[0] / 2
    for variable, value in zip(decoder.bridge.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    units, width = (int(entry.shape[-1]) for entry in decoder.network.inputs[1:])
    tokens = tf.constant([[VOCABULARY.start_id, *VOCABULARY.encode(["the", "blue"])]])
    logits, _, _ = decoder.network([tokens, tf.zeros([1, units]), tf.zeros([1, 1, width])])
    assert VOCABULARY.decode([int(tf.argmax(logits[0, -1]))]) == ["bird"]


def test_sentences_with_unknown_words_and_long_ones_are_left_out() -> None:
    recipe = replace(DEFAULT, max_caption_length=5)
    found = encode_sentences(["A red bus.", "A green bus.", "...", "a red bus stops red"], VOCABULARY, recipe)
    assert [VOCABULARY.decode(ids[1:-1]) for ids in found.tokens] == [["a", "red", "bus"]]
