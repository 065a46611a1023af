"""The regression of captions' CIDEr on their words and log-probabilities."""

import numpy as np
import pytest

from beam_job.model.answer.quality import Context, Quality, numbers_of
from train.evaluation.agreement import rank_correlation
from train.exporting import regression as module
from train.exporting.regression import Example, cross_validated, fit_examples

VOCABULARY = 12
RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Each test draws the same numbers, whichever ran before it."""
    RANDOM.bit_generator.state = np.random.default_rng(0).bit_generator.state


def example(cider) -> Example:
    ids = RANDOM.integers(4, VOCABULARY, size=RANDOM.integers(3, 9))
    log_probs = np.log(RANDOM.uniform(0.05, 1.0, len(ids))).astype(np.float32)
    return Example(ids, log_probs, cider(ids, log_probs), context=Context(*RANDOM.normal(size=2)))


def of(quality: Quality, one: Example) -> float:
    return quality.of(one.ids, one.log_probs, one.context)


def agreement(cider) -> float:
    """The correlation of the expected with the true quality, on captions that were not learned from."""
    quality = fit_examples([example(cider) for _ in range(3000)], VOCABULARY, ridge=(0.01, 1, 1))
    others = [example(cider) for _ in range(300)]
    expected = [of(quality, one) for one in others]
    return float(np.corrcoef(np.log(expected), np.log([one.cider for one in others]))[0, 1])


def test_it_learns_what_quality_depends_on() -> None:
    assert agreement(lambda ids, log_probs: np.exp(log_probs.mean())) > 0.99
    assert agreement(lambda ids, log_probs: np.exp(np.sum(ids == 5))) > 0.99
    assert agreement(lambda ids, log_probs: np.exp(np.exp(log_probs[ids == 5]).sum())) > 0.99


def test_noise_teaches_nothing() -> None:
    assert abs(agreement(lambda ids, log_probs: RANDOM.exponential())) < 0.2


def test_it_learns_what_is_beside_a_caption() -> None:
    examples = [example(lambda *_: 0.0) for _ in range(500)]
    examples = [one._replace(cider=float(np.exp(one.context.named))) for one in examples]
    quality = fit_examples(examples[:400], VOCABULARY)
    expected = [of(quality, one) for one in examples[400:]]
    assert rank_correlation(expected, [one.cider for one in examples[400:]]) > 0.99


def test_it_expects_the_mean_of_what_it_saw() -> None:
    seen = [example(lambda ids, log_probs: RANDOM.exponential() ** 2) for _ in range(1000)]
    quality = fit_examples(seen, VOCABULARY)
    assert np.mean([of(quality, one) for one in seen]) == pytest.approx(np.mean([one.cider for one in seen]), rel=1e-4)


def test_a_cider_of_zero_is_learned_too() -> None:
    seen = [example(lambda ids, log_probs: 0.0) for _ in range(100)]
    assert of(fit_examples(seen, VOCABULARY), seen[0]) == pytest.approx(0.0, abs=1e-4)


def test_words_that_no_caption_has_count_nothing() -> None:
    quality = fit_examples([example(lambda *_: 1.0) for _ in range(50)], VOCABULARY + 3)
    assert not quality.words[VOCABULARY:].any()
    assert not quality.probable[VOCABULARY:].any()


def test_rare_words_count_nothing_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [example(lambda ids, log_probs: np.exp(np.sum(ids == 5) + np.sum(ids == 6))) for _ in range(500)]
    for number, rare in enumerate(examples[:3]):
        rare.ids[:] = [5, 6, VOCABULARY + number, *[5] * 9][: len(rare.ids)]
    monkeypatch.setattr(module, "_WORDS", VOCABULARY - 4)
    quality = fit_examples(examples, VOCABULARY + 3, ridge=(0.01, 1, 1))
    assert np.flatnonzero(quality.words).tolist() == list(range(4, VOCABULARY))
    assert quality.words[5] > 0.5


def test_the_weights_are_those_of_ridge_regression() -> None:
    examples = [example(lambda ids, log_probs: 4 + log_probs.mean() + np.sum(ids == 5)) for _ in range(40)]
    ridge = (0.5, 2.0, 3.0)
    quality = fit_examples(examples, VOCABULARY, ridge)
    numbers = np.array([numbers_of(one.log_probs, one.context) for one in examples], np.float64)
    said, probable = np.zeros([2, len(examples), VOCABULARY])
    for row, one in enumerate(examples):
        np.add.at(said[row], one.ids, 1.0)
        np.add.at(probable[row], one.ids, np.exp(one.log_probs))
    design = np.concatenate([(numbers - numbers.mean(axis=0)) / numbers.std(axis=0), said, probable], axis=1)
    ciders = np.array([one.cider for one in examples])
    target = np.log(ciders + 0.1)
    penalties = np.diag(np.sqrt(np.repeat(ridge, [6, VOCABULARY, VOCABULARY])))
    rows = np.concatenate([design - design.mean(axis=0), penalties])
    weights = np.linalg.lstsq(rows, np.concatenate([target - target.mean(), np.zeros(len(penalties))]))[0]
    expected = np.exp((design - design.mean(axis=0)) @ weights)
    found = [of(quality, one) for one in examples]
    np.testing.assert_allclose(found, expected * (ciders + 0.1).mean() / expected.mean() - 0.1, rtol=1e-4)


def test_many_examples_are_added_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [example(lambda ids, log_probs: 4 + log_probs.mean() + np.sum(ids == 5)) for _ in range(100)]
    whole = fit_examples(examples, VOCABULARY)
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    for one, other in zip(whole, fit_examples(examples, VOCABULARY), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def photos(count: int, captions: int, cider) -> list[Example]:
    """Examples of photos with some captions each."""
    return [example(cider)._replace(photo=photo) for photo in range(count) for _ in range(captions)]


def test_what_is_expected_of_a_caption_is_learned_without_its_photo() -> None:
    seen = photos(25, 3, lambda ids, log_probs: 4 + log_probs.mean() + np.sum(ids == 5))
    judged = photos(25, 1, lambda *_: 0.0)
    found = cross_validated(seen, judged, VOCABULARY)
    for place in (0, 7, 24):
        fold = [photo for photo in range(25) if photo % 10 == place % 10]
        design = module._Design(seen, VOCABULARY)  # of all: it depends on no CIDEr
        others = [one for one in seen if one.photo not in fold]
        quality = module._levelled(design.solve(design.sums(others), module._RIDGE), others)
        assert found[place] == pytest.approx(of(quality, judged[place]), rel=1e-4)


def test_what_is_known_of_a_photo_alone_is_worth_nothing_for_others() -> None:
    """Each photo has a word of its own, and a CIDEr of its own."""
    values = np.exp(RANDOM.normal(size=200))
    seen = [
        Example(np.array([photo, 200]), np.full(2, -1.0, np.float32), values[photo], photo)
        for photo in range(200)
        for _ in range(3)
    ]
    ciders = [one.cider for one in seen]
    learned = fit_examples(seen, 201, ridge=(0.01, 1, 1))
    assert rank_correlation([of(learned, one) for one in seen], ciders) > 0.99
    of_others = cross_validated(seen, seen, 201, ridge=(0.01, 1, 1))
    assert -0.4 < rank_correlation(of_others, ciders) < 0.1  # around -0.2: photos above the mean lower that of the rest


@pytest.mark.parametrize("step", [2, 10])
def test_numbers_of_photos_may_have_gaps(step: int) -> None:
    seen = photos(25, 3, lambda ids, log_probs: 4 + log_probs.mean() + np.sum(ids == 5))
    judged = photos(25, 1, lambda *_: 0.0)
    apart = [[one._replace(photo=step * one.photo) for one in ones] for ones in (seen, judged)]
    assert cross_validated(*apart, VOCABULARY).tolist() == cross_validated(seen, judged, VOCABULARY).tolist()


def test_without_other_photos_nothing_can_be_expected() -> None:
    assert np.isnan(cross_validated(photos(1, 3, lambda *_: 1.0), photos(1, 1, lambda *_: 1.0), VOCABULARY)).all()
    few = cross_validated(photos(3, 3, lambda *_: 1.0), photos(12, 1, lambda *_: 1.0), VOCABULARY)
    assert few == pytest.approx(np.ones(12), abs=1e-4), "nine of the judged photos are unknown, seven folds are empty"
