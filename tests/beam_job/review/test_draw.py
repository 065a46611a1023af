"""Which captions are drawn, and with what chance."""

import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.review.draw import Index, draw_least_certain, draw_stratified, take


def captions(count):
    return [{"uri": f"{n}.jpg", "caption": "A dog.", "score": -((n * 7919) % 1000) / 100} for n in range(count)]


@settings(max_examples=200)
@given(st.integers(0, 90), st.integers(1, 60), st.integers(0, 5))
def test_as_many_are_drawn_as_asked_for_and_their_chances_add_up_to_all(total, size, seed):
    drawn = draw_stratified(lambda: captions(total), size, seed)
    assert len(drawn) == min(size, total) == len({one.record["uri"] for one in drawn})
    assert sum(1 / one.probability for one in drawn) == pytest.approx(total)


def test_each_caption_is_drawn_as_often_as_its_chance_says():
    records = captions(137)
    chances, times = {}, np.zeros(137)
    for seed in range(2000):
        for one in draw_stratified(lambda: records, 23, seed):
            number = int(one.record["uri"].removesuffix(".jpg"))
            times[number] += 1
            chances.setdefault(number, []).append(one.probability)
    expected = np.array([np.mean(chances[number]) for number in range(137)])
    # Captions with equal scores change strata with the seed; 0.06 is six standard deviations of such a share.
    assert np.abs(times / 2000 - expected).max() < 0.06


def test_every_tenth_of_the_scores_is_drawn_from():
    records = captions(1000)
    drawn = draw_stratified(lambda: records, 50, 0)
    ranked = sorted(record["score"] for record in records)
    counts = np.histogram([one.record["score"] for one in drawn], [ranked[0], *ranked[100:1000:100], 1.0])[0]
    assert counts.min() >= 3


def test_the_seed_and_the_uris_alone_decide():
    records = captions(300)
    shuffled = random.Random(1).sample(records, len(records))
    drawn = draw_stratified(lambda: records, 40, 7)
    assert drawn == draw_stratified(lambda: shuffled, 40, 7)
    assert drawn != draw_stratified(lambda: records, 40, 8)


def test_the_least_certain_are_those_with_the_lowest_scores():
    records = captions(300)
    drawn = draw_least_certain(lambda: records, 20, 0)
    lowest = sorted(record["score"] for record in records)[:20]
    assert sorted(one.record["score"] for one in drawn) == lowest
    assert {one.probability for one in drawn} == {1.0}


def test_a_list_names_its_own():
    drawn, unknown = take(lambda: captions(10), ["7.jpg", "x.jpg", "2.jpg", "7.jpg"])
    assert [(one.record["uri"], one.probability) for one in drawn] == [("7.jpg", None), ("2.jpg", None)]
    assert unknown == ["x.jpg"]


def test_memory_is_a_few_bytes_for_each_caption():
    def stream():
        return ({"uri": f"gs://bucket/{n}.jpg", "caption": "A dog." * 50, "score": -n / 1e5} for n in range(50_000))

    tracemalloc.start()
    try:
        Index(stream(), 0).stratified(200)
        assert tracemalloc.get_traced_memory()[1] < 60 * 50_000
    finally:
        tracemalloc.stop()
