"""Self-critical training, and the captions sampled for it."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.vocabulary import Vocabulary
from train.data.text import build_vocabulary, repeated
from train.errors import TrainError
from train.fitting.generation import make_generate, to_words
from train.fitting.self_critical import self_critical
from train.models.decoder import build_decoder
from train.recipe import DEFAULT

RECIPE = replace(
    DEFAULT,
    hidden_size=16,
    max_caption_length=5,
    batch_size=8,
    self_critical_epochs=40,
    self_critical_learning_rate=0.04,
    patience=40,
)
REFERENCES = {number: ("a red wall",) if number % 2 else ("the blue sea",) for number in range(8)}
FEATURES = np.random.default_rng(0).normal(size=(8, 1, 3, 4)).astype(np.float16)


@pytest.fixture
def vocabulary() -> Vocabulary:
    return build_vocabulary([caption for captions in REFERENCES.values() for caption in captions], 100)


def test_drawn_captions_score_higher_and_higher(vocabulary: Vocabulary) -> None:
    keras.utils.set_random_seed(0)
    decoder = build_decoder(RECIPE, 4, len(vocabulary))
    history = self_critical(decoder, RECIPE, FEATURES, REFERENCES, vocabulary, epoch_images=range(8), seed=0)
    assert np.mean(history.losses[-10:]) < np.mean(history.losses[:10])


def test_repetition_is_unlearned_where_it_costs() -> None:
    told = dict.fromkeys(range(8), ("red red wall",))
    vocabulary = build_vocabulary(["red red wall"], 100)
    said = []
    for cost in (0.0, 20.0):
        keras.utils.set_random_seed(0)
        recipe = replace(RECIPE, self_critical_repetition_penalty=cost, self_critical_dropout=True, dropout=0.2)
        decoder = build_decoder(recipe, 4, len(vocabulary))
        self_critical(decoder, recipe, FEATURES, told, vocabulary, epoch_images=range(8), seed=0)
        greedy = make_generate(decoder, vocabulary, longest=5)(FEATURES[:, 0]).numpy()
        said.append(np.mean([repeated(to_words(caption, vocabulary)) > 0 for caption in greedy]))
    assert said[0] > 0.5
    assert said[1] == 0


def test_too_few_images_are_refused(vocabulary: Vocabulary) -> None:
    decoder = build_decoder(RECIPE, 4, len(vocabulary))
    with pytest.raises(TrainError, match=r"1 photo, too few .* 4 sampled captions for each of 2 photos.*batch_size"):
        self_critical(decoder, RECIPE, FEATURES, {0: ("a red wall",)}, vocabulary, epoch_images=[0], seed=0)


def test_greedy_captions_are_the_likeliest_words_and_drawn_ones_come_from_the_seed(vocabulary: Vocabulary) -> None:
    keras.utils.set_random_seed(1)
    decoder = build_decoder(RECIPE, 4, len(vocabulary))
    generate = make_generate(decoder, vocabulary, longest=5)
    feature_map = FEATURES[:, 0]
    greedy = generate(feature_map).numpy()
    features, state = decoder.bridge(tf.cast(feature_map, tf.float32))
    told = np.concatenate([np.full((8, 1), vocabulary.start_id), greedy[:, :-1]], axis=1)
    logits = decoder.network([tf.constant(told, tf.int32), state, features])[0].numpy()
    logits[..., [vocabulary.pad_id, vocabulary.unknown_id, vocabulary.start_id]] = -np.inf
    real = greedy != vocabulary.pad_id
    np.testing.assert_array_equal(greedy[real], logits.argmax(-1)[real])

    several = generate(feature_map, seed=tf.constant([0, 3]), samples=3).numpy()
    assert len(several) == 24
    sampled, same, other = (generate(feature_map, seed=tf.constant([0, seed])).numpy() for seed in (3, 3, 4))
    np.testing.assert_array_equal(sampled, same)
    assert sampled.shape != other.shape or np.any(sampled != other)


def test_words_end_with_the_caption(vocabulary: Vocabulary) -> None:
    a, red = vocabulary.encode(["a", "red"])
    assert to_words([a, red, vocabulary.end_id, a], vocabulary) == ["a", "red"]
    assert to_words([a, red], vocabulary) == ["a", "red"]
    assert to_words([vocabulary.end_id], vocabulary) == []
