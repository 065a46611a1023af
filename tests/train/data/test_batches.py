"""Batches: every caption once an epoch, the same batch for the same number, little padding."""

import numpy as np
import pytest

from train.data.batches import Batches, advised_batch_size
from train.data.examples import EncodedCaptions
from train.errors import TrainError

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(7, 2, 3, 4)).astype(np.float16)
IMAGES = RANDOM.integers(7, size=40)
NO_COPIES = np.zeros(40, int)
TOKENS = [[1, *[10 + caption] * int(RANDOM.integers(1, 9)), 2] for caption in range(40)]
CAPTIONS = EncodedCaptions(IMAGES, TOKENS, NO_COPIES)


def make(seed: int = 0, batch_size: int = 8, together: int = 1) -> Batches:
    return Batches(
        FEATURES, CAPTIONS, pad_id=0, batch_size=batch_size, captions_per_image_per_batch=together, seed=seed
    )


def test_an_epoch_holds_every_caption_once_with_its_own_image() -> None:
    batches = make()
    seen = []
    for step in range(5, 10):
        feature_map, tokens = batches[step]
        assert feature_map.shape == (8, 3, 4)
        assert feature_map.dtype == np.float16
        assert tokens.shape[:2] == (8, 1)
        for features, row in zip(feature_map, tokens[:, 0], strict=True):
            caption = row[1] - 10
            assert row[row != 0].tolist() == TOKENS[caption]
            assert any(np.array_equal(features, view) for view in FEATURES[IMAGES[caption]])
            seen.append(caption)
    assert sorted(seen) == list(range(40))


def test_captions_of_one_image_stand_together_and_fill_up_with_padding() -> None:
    batches = make(together=3)
    seen = []
    for step in range(batches.steps_per_epoch):
        feature_map, tokens = batches[step]
        assert feature_map.shape == (2, 3, 4)
        assert tokens.shape[:2] == (2, 3)
        for features, rows in zip(feature_map, tokens, strict=True):
            captions = [row[1] - 10 for row in rows if row[0]]
            assert [row[row != 0].tolist() for row in rows] == [TOKENS[caption] for caption in captions] + [[]] * (
                3 - len(captions)
            )
            (image,) = {IMAGES[caption] for caption in captions}
            assert any(np.array_equal(features, view) for view in FEATURES[image])
            seen += captions
    assert len(set(seen)) == len(seen)
    groups = sum(-(-count // 3) for count in np.bincount(IMAGES))
    assert batches.steps_per_epoch == groups // 2
    assert len(seen) >= 40 - 3 * (groups % 2)


def test_copies_of_a_caption_are_never_in_one_group() -> None:
    """A data set that counts three times: each copy is with the image's other captions, in a view of its own."""
    copies = EncodedCaptions(np.repeat(IMAGES, 3), [t for t in TOKENS for _ in range(3)], np.tile(np.arange(3), 40))
    batches = Batches(FEATURES, copies, pad_id=0, batch_size=5, captions_per_image_per_batch=5, seed=0)
    seen = []
    for step in range(batches.steps_per_epoch):
        for rows in batches[step].tokens:
            captions = [row[1] - 10 for row in rows if row[0]]
            assert len(set(captions)) == len(captions)
            seen += captions
    assert sorted(seen) == sorted(3 * list(range(40)))


def test_images_with_one_caption_each_fill_batches_all_the_same() -> None:
    captions = EncodedCaptions(np.arange(7), TOKENS[:7], NO_COPIES[:7])
    batches = Batches(FEATURES, captions, pad_id=0, batch_size=6, captions_per_image_per_batch=5, seed=0)
    assert batches[0].tokens.shape[:2] == (6, 1)


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    forwards, backwards = make(), make()
    some = {step: forwards[step] for step in range(12)}
    for step in reversed(range(12)):
        for one, other in zip(some[step], backwards[step], strict=True):
            np.testing.assert_array_equal(one, other)
    assert any(not np.array_equal(some[0].tokens, batch.tokens) for batch in (some[5], make(seed=1)[0]))


def test_captions_of_about_one_length_stand_together() -> None:
    batches = make()
    padding = sum(int((batches[step].tokens == 0).sum()) for step in range(5))
    assert padding < 40  # of about 300 places; a random order would waste 120


def test_too_few_captions_are_refused_with_a_batch_size_that_works() -> None:
    with pytest.raises(TrainError, match=r"40 captions, too few for a batch of 41\..*--set batch_size=8\.$"):
        make(batch_size=41)
    make(batch_size=8)
    with pytest.raises(TrainError, match=r"batch of 300 \(3 captions of the same photo are in one batch\)"):
        Batches(FEATURES, CAPTIONS, pad_id=0, batch_size=300, captions_per_image_per_batch=3, seed=0)


@pytest.mark.parametrize(("batch_size", "advised"), [(40, True), (20, True), (8, False), (4, False)])
def test_few_steps_are_said(batch_size: int, advised: bool) -> None:
    advice = make(batch_size=batch_size).advice
    assert bool(advice) == advised
    if advice:
        assert "--set batch_size=8" in advice


@pytest.mark.parametrize(
    ("captions", "together", "size"), [(1, 1, 1), (5, 1, 4), (40, 5, 8), (40, 9, 9), (300, 1, 16), (9000, 5, 512)]
)
def test_a_fitting_batch_size(captions: int, together: int, size: int) -> None:
    assert advised_batch_size(captions, together) == size
