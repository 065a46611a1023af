"""The statistics of a run: different captions, repeats, and the histogram of the scores."""

import json

import pytest

from beam_job.report.summary import Repeats, Summary, edges
from tests.written_run import caption_record


def test_distinct_captions_are_exact_for_few_and_estimated_for_many():
    repeats = Repeats(most=256)
    for n in range(200):
        repeats.add(f"caption {n % 100}")
    assert (repeats.distinct, repeats.exact) == (100, True)
    for n in range(20_000):
        repeats.add(f"other {n}")
        repeats.add("the same")
    assert not repeats.exact
    assert repeats.distinct == pytest.approx(20_101, rel=0.25)
    ((text, count),) = repeats.often(1)
    assert text == "the same"
    assert 20_000 - 40_000 / 256 <= count <= 20_000


@pytest.mark.parametrize(
    ("captions", "warned"),
    [(["A dog."] * 3 + [f"A cat {n}." for n in range(27)], True), ([f"A cat {n}." for n in range(30)], False)],
)
def test_many_images_of_one_caption_are_warned_of(captions, warned):
    summary = Summary()
    for caption in captions:
        summary.add_caption(json.loads(caption_record(text=caption).to_json()))
    assert (summary.to_json()["warning"] is not None) == warned


def test_the_histogram_holds_every_image():
    summary = Summary()
    for score in (0.0, -0.001, -0.1, -3.7, -50.0):
        summary.add_caption({"caption": "x", "score": score})
    bars = edges([summary])
    assert bars[-1] == 0
    assert sum(summary.histogram(bars)) == 5
    assert edges([Summary()])[0] < 0


@pytest.mark.parametrize(
    ("scores", "lowest", "highest"),
    [((-0.72, -0.31), -0.75, 0.0), ((0.31, 1.52), 0.0, 1.6), ((-0.12, 2.2), -0.2, 2.2), ((-9.0, 3.0), -9.0, 3.0)],
)
def test_all_scores_have_a_bar(scores, lowest, highest):
    summary = Summary()
    for score in scores:
        summary.add_caption({"uri": "a", "caption": "A.", "score": score, "captions": []})
    bars = edges([summary])
    assert (bars[0], bars[-1]) == pytest.approx((lowest, highest))
    assert 4 <= len(bars) - 1 <= 25
    assert 0.0 in bars
    found = summary.histogram(bars)
    assert sum(found) == 2
    for score in scores:
        assert found[next(bar for bar, edge in enumerate(bars[1:]) if score < edge or bar == len(found) - 1)] >= 1


@pytest.mark.parametrize("score", [-9e14, 9e14])
def test_no_score_makes_the_histogram_long(score):
    summary = Summary()
    summary.add_caption({"caption": "x", "score": score})
    bars = edges([summary])
    assert len(bars) < 50
    assert sum(summary.histogram(bars)) == 1
