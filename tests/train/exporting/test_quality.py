"""The expected quality is learned from captions of dev photos and their CIDEr."""

import numpy as np
import pytest

from tests.train.walls import FEATURES, RECIPE, WALLS, untrained
from train.exporting import quality as module
from train.exporting.dev_captions import DevSet
from train.exporting.quality import agreement, learn_quality
from train.exporting.regression import Example


def test_each_set_has_its_agreement(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "_LEAST", 6)
    decoder, vocabulary = untrained(WALLS)
    sets = [DevSet("walls", FEATURES, WALLS), DevSet("again", FEATURES, WALLS)]
    learned = learn_quality(decoder, RECIPE, sets, vocabulary, seed=0)
    assert learned
    assert len(learned.quality.words) == len(vocabulary)
    said = capsys.readouterr().err
    assert "learned from 36 captions of dev photos" in said
    for name, found in zip(("walls", "again"), learned.agreement, strict=True):
        told = f"{name}: {found.score:.2f}; that of the mean log-probability is {found.mean_log_prob:.2f}"
        assert told in said


def test_agreement_is_that_of_each_set_alone() -> None:
    """Quality grows with the number of 5s; in the second set log-probabilities are the wrong way round."""
    random = np.random.default_rng(0)

    def example(photo: int, sign: int) -> Example:
        ids = random.integers(4, 8, 12)
        fives = np.sum(ids == 5)
        return Example(ids, np.full(12, -10 + 0.1 * sign * fives, np.float32), float(np.exp(fives)), photo)

    first, second = ([example(photo, sign) for photo in range(200)] for sign in (1, -1))
    found = agreement([*first, *(one._replace(photo=one.photo + 200) for one in second)], [first, second], 10)
    assert [one.mean_log_prob for one in found] == pytest.approx([1.0, -1.0])
    assert min(one.score for one in found) > 0.9


def test_of_few_photos_nothing_is_learned() -> None:
    few = DevSet("few", np.zeros([199, 1, 4, 4], np.float16), {image: ["a dog"] for image in range(199)})
    decoder, vocabulary = untrained(few.references)
    assert learn_quality(decoder, RECIPE, [few], vocabulary, seed=0) is None
