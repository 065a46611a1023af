"""The expected quality is learned from captions and their CIDEr."""

import numpy as np

from train.exporting.quality import Example, fit_examples

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
