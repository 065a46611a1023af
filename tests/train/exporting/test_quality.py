"""The expected quality is learned from captions and their CIDEr."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.answer.quality import numbers_of
from train.data.text import build_vocabulary
from train.exporting import quality as module
from train.exporting.quality import Example, fit_examples, fit_quality
from train.fitting.cider import Cider
from train.fitting.generation import to_words
from train.models.decoder import build_decoder
from train.recipe import DEFAULT

VOCABULARY = 12
RANDOM = np.random.default_rng(0)


def example(cider) -> Example:
    ids = RANDOM.integers(4, VOCABULARY, size=RANDOM.integers(3, 9))
    log_probs = np.log(RANDOM.uniform(0.05, 1.0, len(ids))).astype(np.float32)
    return Example(ids, log_probs, cider(ids, log_probs))


def agreement(cider) -> float:
    """The correlation of the expected with the true quality, on captions that were not learned from."""
    quality = fit_examples([example(cider) for _ in range(3000)], VOCABULARY, ridge=(0.01, 1, 1))
    others = [example(cider) for _ in range(300)]
    expected = [quality.of(one.ids, one.log_probs) for one in others]
    return float(np.corrcoef(expected, [one.cider for one in others])[0, 1])


def test_it_learns_what_quality_depends_on() -> None:
    assert agreement(lambda ids, log_probs: log_probs.mean()) > 0.99
    assert agreement(lambda ids, log_probs: np.sum(ids == 5)) > 0.99
    assert agreement(lambda ids, log_probs: np.exp(log_probs[ids == 5]).sum()) > 0.99


def test_noise_teaches_nothing() -> None:
    assert abs(agreement(lambda ids, log_probs: RANDOM.normal())) < 0.2


def test_it_expects_the_mean_of_what_it_saw() -> None:
    seen = [example(lambda ids, log_probs: 0.8 + 0.1 * RANDOM.normal()) for _ in range(1000)]
    quality = fit_examples(seen, VOCABULARY)
    assert abs(np.mean([quality.of(one.ids, one.log_probs) for one in seen]) - 0.8) < 0.02


def test_words_that_no_caption_has_count_nothing() -> None:
    quality = fit_examples([example(lambda *_: 1.0) for _ in range(50)], VOCABULARY + 3)
    assert not quality.words[VOCABULARY:].any()
    assert not quality.probable[VOCABULARY:].any()


def test_rare_words_count_nothing_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [example(lambda ids, log_probs: np.sum(ids == 5) + np.sum(ids == 6)) for _ in range(500)]
    for number, rare in enumerate(examples[:3]):
        rare.ids[:] = [5, 6, VOCABULARY + number, *[5] * 9][: len(rare.ids)]
    monkeypatch.setattr(module, "_WORDS", VOCABULARY - 4)
    quality = fit_examples(examples, VOCABULARY + 3, ridge=(0.01, 1, 1))
    assert np.flatnonzero(quality.words).tolist() == list(range(4, VOCABULARY))
    assert quality.words[5] > 0.5


def test_the_weights_are_those_of_ridge_regression() -> None:
    examples = [example(lambda ids, log_probs: 5 + log_probs.mean() + np.sum(ids == 5)) for _ in range(40)]
    ridge = (0.5, 2.0, 3.0)
    quality = fit_examples(examples, VOCABULARY, ridge)
    numbers = np.array([numbers_of(one.log_probs) for one in examples], np.float64)
    said, probable = np.zeros([2, len(examples), VOCABULARY])
    for row, one in enumerate(examples):
        np.add.at(said[row], one.ids, 1.0)
        np.add.at(probable[row], one.ids, np.exp(one.log_probs))
    design = np.concatenate([(numbers - numbers.mean(axis=0)) / numbers.std(axis=0), said, probable], axis=1)
    target = np.array([one.cider for one in examples])
    penalties = np.diag(np.sqrt(np.repeat(ridge, [4, VOCABULARY, VOCABULARY])))
    rows = np.concatenate([design - design.mean(axis=0), penalties])
    weights = np.linalg.lstsq(rows, np.concatenate([target - target.mean(), np.zeros(len(penalties))]))[0]
    expected = target.mean() + (design - design.mean(axis=0)) @ weights
    found = [quality.of(one.ids, one.log_probs) for one in examples]
    np.testing.assert_allclose(found, expected, atol=5e-5)


def test_many_examples_are_added_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [example(lambda ids, log_probs: log_probs.mean() + np.sum(ids == 5)) for _ in range(100)]
    whole = fit_examples(examples, VOCABULARY)
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    for one, other in zip(whole, fit_examples(examples, VOCABULARY), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_it_learns_from_the_models_own_captions_and_what_the_model_says_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The images have numbers with gaps, as where one is broken."""
    references = {1: ("a red wall", "a wall"), 3: ("the blue sea",), 6: ("a red sea", "the sea is red")}
    vocabulary = build_vocabulary([caption for captions in references.values() for caption in captions], 100)
    features = np.random.default_rng(0).normal(size=(8, 1, 3, 4)).astype(np.float16)
    recipe = replace(DEFAULT, hidden_size=16, max_caption_length=5)
    keras.utils.set_random_seed(0)
    decoder = build_decoder(recipe, 4, len(vocabulary))
    seen: list[Example] = []
    monkeypatch.setattr(module, "fit_examples", lambda found, size: seen.extend(found) or fit_examples(found, size))
    monkeypatch.setattr(module, "_LEAST", 3)
    quality = fit_quality(decoder, recipe, [(features, references)], vocabulary, seed=0)
    assert quality
    assert len(quality.words) == len(vocabulary)
    images = [1, 3, 6, 1, 1, 3, 3, 6, 6]  # the likeliest captions, then two samples of each
    cider = Cider([[caption.split() for caption in captions] for captions in references.values()])
    for image, found in zip(images, seen, strict=True):
        encoded, state = decoder.bridge(tf.cast(features[image], tf.float32))
        token, expected = vocabulary.start_id, []
        for word in found.ids:
            logits, state, _ = decoder.network([tf.constant([[token]]), state, encoded])
            expected.append(tf.nn.log_softmax(logits[0, 0])[word])
            token = int(word)
        np.testing.assert_allclose(found.log_probs, expected, atol=1e-4)
        assert found.cider == cider.score(list(references).index(image), to_words(found.ids, vocabulary))
        assert vocabulary.pad_id not in found.ids
    assert len({tuple(found.ids) for found in seen}) > 4


def test_of_few_photos_nothing_is_learned() -> None:
    recipe = replace(DEFAULT, hidden_size=8)
    decoder = build_decoder(recipe, 4, 10)
    few = {image: ["a dog"] for image in range(199)}
    vocabulary = build_vocabulary(["a dog"], 20, 1, lowercase=True)
    assert fit_quality(decoder, recipe, [(np.zeros([199, 1, 4, 4], np.float16), few)], vocabulary, seed=0) is None
