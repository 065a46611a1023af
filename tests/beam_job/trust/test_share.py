"""How many captions are right: intervals that keep what they promise, and weights that add up."""

import numpy as np
import pytest

from beam_job.review.draw import Index
from beam_job.trust.share import TooFewReviewsError, above, table, weigh

CAPTIONS = 1000


def simulated_archive(dice):
    """Scores, and which captions are right: often, seldom, by the score in several ways or not at all."""
    scores = np.round(-dice.gamma(dice.uniform(2, 6), 0.25, CAPTIONS), 4)
    chance = {
        "smooth": 1 / (1 + np.exp(-dice.uniform(-1, 5) - dice.uniform(0, 4) * scores)),
        "step": np.where(scores > np.median(scores), dice.uniform(0.8, 1), dice.uniform(0.1, 0.9)),
        "none": np.full(CAPTIONS, dice.uniform(0.02, 0.99)),
        "hump": 0.5 + 0.45 * np.sin(6 * scores),
    }[str(dice.choice(["smooth", "step", "none", "hump"]))]
    return scores, dice.random(CAPTIONS) < chance


def reviewed(dice, scores, seed):
    """What a person reviews: a sample, some of it skipped, and in half of the archives the least certain as well."""
    index = Index(({"uri": str(n), "score": score} for n, score in enumerate(scores)), seed)
    places = {int(key): n for n, key in enumerate(index.keys)}
    drawn = index.stratified(int(dice.integers(80, 300)))
    drawn = {key: chance for key, chance in drawn.items() if dice.random() < 0.9}
    if seed % 2:
        drawn |= index.least(50)
    return np.array([places[key] for key in drawn]), np.array(list(drawn.values()))


def test_the_interval_covers_the_truth_of_nearly_all_archives():
    dice = np.random.default_rng(24)
    covered = np.zeros(2)
    wide = []
    for seed in range(500):
        scores, right = simulated_archive(dice)
        chosen, chances = reviewed(dice, scores, seed)
        answers = weigh(scores[chosen], right[chosen], chances, scores)
        for row, threshold in enumerate((scores.min(), np.quantile(scores, 0.6))):
            found = above(answers, scores, threshold)
            truth = right[scores >= threshold].mean()
            covered[row] += found.low <= truth <= found.high
            wide.append(found.high - found.low)
    assert covered.min() >= 0.92 * 500
    assert np.median(wide) < 0.25  # an interval that says nothing would cover all of them


def test_weights_add_up_to_all_captions_and_to_each_fifth_of_the_scores():
    dice = np.random.default_rng(1)
    scores, right = simulated_archive(dice)
    chosen, chances = reviewed(dice, scores, 1)
    answers = weigh(scores[chosen], right[chosen], chances, scores)
    assert answers.weights.sum() == pytest.approx(CAPTIONS)
    lowest = answers.scores < np.quantile(scores, 0.2)
    assert answers.weights[lowest].sum() == pytest.approx(CAPTIONS / 5, abs=3)


def test_reviews_of_the_least_certain_do_not_move_the_estimate():
    scores = np.linspace(-2, 0, 1000)
    right = scores > -1  # exactly half of them
    sample, worst = np.arange(0, 1000, 10), np.arange(100)
    chosen = np.union1d(sample, worst)
    chances = np.where(chosen < 100, 1.0, 0.1)
    found = above(weigh(scores[chosen], right[chosen], chances, scores), scores, -2.0)
    assert found.right == pytest.approx(0.5, abs=0.02)


def test_the_table_goes_from_all_captions_to_a_tenth():
    scores = np.round(np.linspace(-2, 0, 1000), 4)
    chosen = np.arange(0, 1000, 5)
    found = table(weigh(scores[chosen], scores[chosen] > -1.5, np.full(200, 0.2), scores), scores)
    assert [row.captions for row in found] == [1000 - 100 * n for n in range(10)]
    assert [row.reviews for row in found] == [200 - 20 * n for n in range(10)]
    assert found[0].right == pytest.approx(0.75, abs=0.01)
    assert (found[-1].right, found[-1].high) == (1.0, 1.0)
    assert 0.8 < found[-1].low < 1  # twenty right ones of twenty do not say that all are


def test_archives_with_few_different_scores_have_a_table_too():
    scores = np.repeat([-1.0, -0.5], 500)
    chosen = np.arange(0, 1000, 5)
    found = table(weigh(scores[chosen], scores[chosen] > -0.7, np.full(200, 0.2), scores), scores)
    assert [(row.score, row.captions) for row in found] == [(-1.0, 1000), (-0.5, 500)]
    assert [row.right for row in found] == [pytest.approx(0.5), 1.0]
    same = np.full(100, -1.0)
    assert len(table(weigh(same, np.ones(100, bool), np.ones(100), same), same)) == 1


def test_few_reviews_say_how_many_are_wanting():
    scores = np.linspace(-2, 0, 1000)
    with pytest.raises(TooFewReviewsError, match="There are 12 reviews of sampled photos; an estimate needs 38 more"):
        weigh(scores[:12], scores[:12] > 0, np.ones(12), scores)
    with pytest.raises(TooFewReviewsError, match=r"There are 49 .* an estimate needs 1 more review"):
        weigh(scores[:49], scores[:49] > 0, np.ones(49), scores)


def test_reviews_of_low_scores_alone_say_nothing_of_the_others():
    scores = np.linspace(-2, 0, 1000)
    with pytest.raises(TooFewReviewsError, match=r"Among the 200 captions with scores from -1\.60 to -1\.20 there are"):
        weigh(scores[:150], scores[:150] > 0, np.ones(150), scores)
