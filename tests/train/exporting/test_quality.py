"""The expected quality is learned from captions of dev photos and their CIDEr."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.vocabulary import Vocabulary
from train.data.text import build_vocabulary
from train.exporting import quality as module
from train.exporting.quality import DevSet, Example, agreement, caption_dev_sets, learn_quality
from train.fitting.cider import Cider
from train.fitting.generation import to_words
from train.models.decoder import Decoder, build_decoder
from train.recipe import DEFAULT

# The images have numbers with gaps, as where one is broken.
WALLS = {1: ("a red wall", "a wall"), 3: ("the blue sea",), 6: ("a red sea", "the sea is red")}
FEATURES = np.random.default_rng(0).normal(size=(8, 1, 3, 4)).astype(np.float16)
RECIPE = replace(DEFAULT, hidden_size=16, max_caption_length=5)


def untrained(references: Mapping[int, Sequence[str]]) -> tuple[Decoder, Vocabulary]:
    vocabulary = build_vocabulary([caption for captions in references.values() for caption in captions], 100)
    keras.utils.set_random_seed(0)
    return build_decoder(RECIPE, 4, len(vocabulary)), vocabulary


def test_the_captions_are_the_models_own_with_what_the_model_says_of_them() -> None:
    decoder, vocabulary = untrained(WALLS)
    (captions,) = caption_dev_sets(decoder, RECIPE, [DevSet("walls", FEATURES, WALLS)], vocabulary, seed=0)
    seen = [*captions.greedy, *captions.sampled]
    images = [1, 3, 6, 1, 1, 3, 3, 6, 6]  # two samples of each
    cider = Cider([[caption.split() for caption in told] for told in WALLS.values()])
    for image, found in zip(images, seen, strict=True):
        encoded, state = decoder.bridge(tf.cast(FEATURES[image], tf.float32))
        token, expected = vocabulary.start_id, []
        for word in found.ids:
            logits, state, _ = decoder.network([tf.constant([[token]]), state, encoded])
            expected.append(tf.nn.log_softmax(logits[0, 0])[word])
            token = int(word)
        np.testing.assert_allclose(found.log_probs, expected, atol=1e-4)
        assert found.cider == cider.score(found.photo, to_words(found.ids, vocabulary))
        assert list(WALLS)[found.photo] == image
        assert vocabulary.pad_id not in found.ids
    assert len({tuple(found.ids) for found in seen}) > 4


def test_photos_of_several_sets_have_numbers_of_their_own() -> None:
    decoder, vocabulary = untrained(WALLS)
    sets = [DevSet("walls", FEATURES, WALLS), DevSet("sea", FEATURES, {2: ("a sea",), 3: ("the blue sea",)})]
    walls, sea = caption_dev_sets(decoder, RECIPE, sets, vocabulary, seed=0)
    assert [one.photo for one in walls.greedy] == [0, 1, 2]
    assert [one.photo for one in walls.sampled] == [0, 0, 1, 1, 2, 2]
    assert [one.photo for one in sea.greedy] == [3, 4]


def test_each_set_has_its_agreement(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "_LEAST", 6)
    decoder, vocabulary = untrained(WALLS)
    sets = [DevSet("walls", FEATURES, WALLS), DevSet("again", FEATURES, WALLS)]
    learned = learn_quality(decoder, RECIPE, sets, vocabulary, seed=0)
    assert learned
    assert len(learned.quality.words) == len(vocabulary)
    said = capsys.readouterr().err
    assert "learned from 18 captions of dev photos" in said
    for name, found in zip(("walls", "again"), learned.agreement, strict=True):
        told = f"{name}: {found.score:.2f}; that of the mean log-probability is {found.mean_log_prob:.2f}"
        assert told in said


def test_agreement_is_that_of_each_set_alone() -> None:
    """Quality is the number of 5s; in the second set log-probabilities are the wrong way round."""
    random = np.random.default_rng(0)

    def example(photo: int, sign: int) -> Example:
        ids = random.integers(4, 8, 12)
        fives = np.sum(ids == 5)
        return Example(ids, np.full(12, -10 + 0.1 * sign * fives, np.float32), float(fives), photo)

    first, second = ([example(photo, sign) for photo in range(200)] for sign in (1, -1))
    found = agreement([*first, *(one._replace(photo=one.photo + 200) for one in second)], [first, second], 10)
    assert [one.mean_log_prob for one in found] == pytest.approx([1.0, -1.0])
    assert min(one.score for one in found) > 0.9


def test_of_few_photos_nothing_is_learned() -> None:
    few = DevSet("few", np.zeros([199, 1, 4, 4], np.float16), {image: ["a dog"] for image in range(199)})
    decoder, vocabulary = untrained(few.references)
    assert learn_quality(decoder, RECIPE, [few], vocabulary, seed=0) is None
