"""Batches: every caption once an epoch, the same batch for the same number, little padding."""

import numpy as np
import pytest

from train.batches import Batches, dropped

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(7, 2, 3, 4)).astype(np.float16)
IMAGES = RANDOM.integers(7, size=40)
TOKENS = [[1, *[10 + caption] * int(RANDOM.integers(1, 9)), 2] for caption in range(40)]


def make(seed: int = 0, batch_size: int = 8) -> Batches:
    return Batches(FEATURES, IMAGES, TOKENS, pad_id=0, batch_size=batch_size, seed=seed)


def test_an_epoch_holds_every_caption_once_with_its_own_image() -> None:
    batches = make()
    seen = []
    for step in range(5, 10):
        feature_map, tokens = batches[step]
        assert feature_map.shape == (8, 3, 4)
        assert feature_map.dtype == np.float16
        for features, row in zip(feature_map, tokens, strict=True):
            caption = row[1] - 10
            assert row[row != 0].tolist() == TOKENS[caption]
            assert any(np.array_equal(features, view) for view in FEATURES[IMAGES[caption]])
            seen.append(caption)
    assert sorted(seen) == list(range(40))


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


def test_too_few_captions_are_refused() -> None:
    with pytest.raises(ValueError, match="--set batch_size"):
        make(batch_size=41)


def test_dropped_channels_are_zero_all_over_an_image_and_the_mean_stays() -> None:
    feature_map = np.ones((50, 3, 400), np.float16)
    made = dropped(feature_map, 0.25, np.random.default_rng(0))
    assert made.dtype == np.float16
    assert (made == made[:, :1]).all()
    assert set(np.unique(made)) == {np.float16(0), np.float16(1 / 0.75)}
    assert abs(float(made.mean(dtype=np.float32)) - 1) < 0.02  # of 20,000 draws; their deviation is 0.004
    assert len(np.unique(made[:, 0] == 0, axis=0)) == 50
    assert dropped(feature_map, 0.0, np.random.default_rng(0)) is feature_map


def test_batches_drop_channels_as_asked_and_again_the_same() -> None:
    def batch() -> np.ndarray:
        settings = {"pad_id": 0, "batch_size": 8, "seed": 0}
        return Batches(FEATURES, IMAGES, TOKENS, **settings, feature_dropout=0.5)[3].feature_map

    gone = (batch() == 0).all(axis=1)
    assert 0 < gone.sum() < gone.size
    np.testing.assert_array_equal(batch(), batch())
