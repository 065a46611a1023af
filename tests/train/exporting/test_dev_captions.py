"""The model's own captions of dev photos, and what there is beside each."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.answer.labels import Labels
from beam_job.model.vocabulary import Vocabulary
from tests.train.walls import FEATURES, RECIPE, WALLS, untrained
from train.exporting.dev_captions import DevCaptions, DevSet, Sight, caption_dev_sets
from train.fitting.cider import Cider
from train.fitting.generation import to_words
from train.models.classifier import Classifier
from train.models.decoder import Decoder

IMAGES = list(WALLS)
OTHERS = 5  # captions of an image beside the best: two from the beam, and three samples


@pytest.fixture(scope="module")
def model() -> tuple[Decoder, Vocabulary]:
    return untrained(WALLS)


@pytest.fixture(scope="module")
def walls_and_sea(model: tuple[Decoder, Vocabulary]) -> list[DevCaptions]:
    decoder, vocabulary = model
    sets = [DevSet("walls", FEATURES, WALLS), DevSet("sea", FEATURES, {2: ("a sea",), 3: ("the blue sea",)})]
    return caption_dev_sets(decoder, RECIPE, sets, vocabulary, seed=0)


def test_the_captions_are_the_models_own_with_what_the_model_says_of_them(
    model: tuple[Decoder, Vocabulary], walls_and_sea: list[DevCaptions]
) -> None:
    (decoder, vocabulary), captions = model, walls_and_sea[0]
    assert [one.photo for one in captions.best] == [0, 1, 2]
    assert [one.photo for one in captions.others] == np.repeat([0, 1, 2], OTHERS).tolist()
    cider = Cider([[caption.split() for caption in told] for told in WALLS.values()])
    for found in [*captions.best, *captions.others]:
        encoded, state = decoder.bridge(tf.cast(FEATURES[IMAGES[found.photo]], tf.float32))
        token, expected = vocabulary.start_id, []
        for word in found.ids:
            logits, state, _ = decoder.network([tf.constant([[token]]), state, encoded])
            expected.append(tf.nn.log_softmax(logits[0, 0])[word])
            token = int(word)
        np.testing.assert_allclose(found.log_probs, expected, atol=1e-4)
        assert found.cider == cider.score(found.photo, to_words(found.ids, vocabulary))
        assert vocabulary.pad_id not in found.ids
    samples = [captions.others[place] for place in range(len(captions.others)) if place % OTHERS >= 2]
    assert len({tuple(one.ids) for one in samples}) > 4


def test_beside_a_caption_there_are_those_of_its_search(walls_and_sea: list[DevCaptions]) -> None:
    captions = walls_and_sea[0]
    for photo, best in enumerate(captions.best):
        others = captions.others[OTHERS * photo : OTHERS * (photo + 1)]
        for together in ([best, *others[:2]], others[2:]):  # the beam, and the samples
            for one in together:
                assert one.context.mean_log_prob == pytest.approx(np.mean([each.log_probs.mean() for each in together]))
                assert one.context.named == 0


@pytest.mark.parametrize("tail", [None, keras.Sequential([keras.Input((3, 4)), keras.layers.Rescaling(-1.0)])])
def test_beside_a_caption_there_are_the_classes(tail: keras.Model | None) -> None:
    """Image 3 has the features for the sea, and with the tail for a wall."""
    decoder, vocabulary = untrained(WALLS)
    features = np.zeros_like(FEATURES)
    features[3] = 100
    kernel = np.array([[1.0, -1.0]] * 4, np.float32)
    classifier = Classifier(
        kernel, np.eye(2, dtype=np.float32), np.zeros(2, np.float32), Labels(("sea", "wall"), (("sea",), ("wall",)))
    )
    (captions,) = caption_dev_sets(
        decoder,
        RECIPE,
        [DevSet("walls", features, WALLS)],
        vocabulary,
        seed=0,
        sight=Sight(classifier, tail),
    )
    seen = "wall" if tail else "sea"
    for one in [*captions.best, *captions.others]:
        words = to_words(one.ids, vocabulary)
        if IMAGES[one.photo] == 3:
            assert one.context.named == (seen in words)
        else:
            assert one.context.named == (("sea" in words) + ("wall" in words)) / 2
    assert {0, 0.5, 1} <= {one.context.named for one in [*captions.best, *captions.others]}


def test_photos_of_several_sets_have_numbers_of_their_own(walls_and_sea: list[DevCaptions]) -> None:
    walls, sea = walls_and_sea
    assert [one.photo for one in walls.best] == [0, 1, 2]
    assert [one.photo for one in sea.best] == [3, 4]
    assert [one.photo for one in sea.others] == [*[3] * OTHERS, *[4] * OTHERS]
