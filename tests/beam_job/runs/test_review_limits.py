"""Reviews at the limits of what is taken, and who is of which opinion."""

from datetime import UTC, datetime, timedelta

import pytest

from beam_job.runs.reviews import BadReviewError, Review, Reviews, is_review
from tests.beam_job.runs.test_reviews import ROW, review


@pytest.mark.parametrize(
    ("name", "most"), [("uri", 8192), ("shown", 100_000), ("model", 200), ("decoding", 200), ("run", 200)]
)
def test_the_longest_texts(name, most):
    assert getattr(Review.parse({**ROW, name: "x" * most}), name) == "x" * most
    with pytest.raises(
        BadReviewError, match=rf"^its {name} has {most + 1:,} characters, at most {most:,} are allowed$"
    ):
        Review.parse({**ROW, name: "x" * (most + 1)})
    if name == "shown":
        assert Review.parse({**ROW, name: ""}).shown == ""
    else:
        with pytest.raises(BadReviewError, match=f"^its {name} is '', which is not text$"):
            Review.parse({**ROW, name: ""})


def test_the_sentence_of_a_correction():
    def caption(text):
        return Review.parse({**ROW, "verdict": "corrected", "caption": text}).caption

    assert caption("x" * 2000) == "x" * 2000
    assert caption("  A\n wolf. \t") == "A wolf."
    for text in ("x" * 2001, "", "a\x7f", "a\x01b"):
        with pytest.raises(BadReviewError):
            caption(text)
    assert Review.parse({**ROW, "verdict": "right", "caption": "ignored"}).caption is None


def test_numbers_and_names_that_may_be_missing():
    assert Review.parse({**ROW, "probability": 1}).probability == 1
    assert Review.parse({**ROW, "probability": None}).probability is None
    assert Review.parse({**ROW, "probability": 1e-9}).probability == 1e-9
    assert Review.parse({**ROW, "reviewer": None}).reviewer == ""
    assert Review.parse({**ROW, "reviewer": ""}).reviewer == ""
    assert Review.parse({**ROW, "score": 2}).score == 2
    assert Review.parse({name: value for name, value in ROW.items() if name != "format"}).reviewer == "Ann"
    assert Review.parse({**ROW, "format": 0}).uri == "a.jpg"
    assert is_review(ROW)
    assert not is_review({**ROW, "uri": None})
    with pytest.raises(BadReviewError, match=r"^it is not a JSON object$"):
        Review.parse([ROW])


def test_times():
    now = datetime(2026, 1, 2, 12, tzinfo=UTC)

    def time(text):
        return Review.parse({**ROW, "time": text}, now).time

    assert time("2026-01-02T03:04:05+02:00") == "2026-01-02T01:04:05.000+00:00"
    assert time("2026-01-02T03:04:05.1239Z") == "2026-01-02T03:04:05.123+00:00"
    assert time("2026-01-03T12:00:00Z") == "2026-01-03T12:00:00.000+00:00"
    with pytest.raises(BadReviewError, match=r"lies in the future: a clock was wrong$"):
        time("2026-01-03T12:00:00.001Z")
    for text in ("2026-01-02T03:04:05", "0001-01-01T00:00:00+23:59", "2026-01-02T03:04:05." + "0" * 30 + "Z", 5):
        with pytest.raises(BadReviewError, match=r"^its time"):
            time(text)
    with pytest.raises(BadReviewError, match="lies in the future"):
        Review.parse({**ROW, "time": (datetime.now(UTC) + timedelta(days=2)).isoformat()})


def test_the_newest_verdict_of_a_model_and_its_decoding():
    rows = [
        review("right"),
        review("wrong", minute=1),
        review("right", minute=2, model="n"),
        review("right", minute=3, decoding="e"),
        review("skipped", minute=4),
        review("right", minute=5, uri="b.jpg"),
    ]
    reviews = Reviews(rows[::-1], ["odd"])
    assert reviews.newest("m", "d") == [rows[1], rows[5]]
    assert reviews.newest("n", "d") == [rows[2]]
    assert reviews.rows == rows
    assert reviews.problems == ["odd"]
    assert reviews.of_uri == {"a.jpg": rows[:4], "b.jpg": [rows[5]]}


def test_a_sampled_caption_keeps_its_probability_whoever_reviews_it_later():
    wrong = review("wrong")
    corrected = review("corrected", caption="A wolf.", minute=1, probability=None)
    (found,) = Reviews([wrong, corrected], []).sampled("m", "d")
    assert (found.verdict, found.caption, found.probability) == ("corrected", "A wolf.", 0.5)
    assert found.time == corrected.time
    right = review("right", minute=2, probability=None)
    assert [row.verdict for row in Reviews([wrong, corrected, right], []).sampled("m", "d")] == ["right"]
    skipped = review("skipped", minute=2, probability=None)
    assert [row.verdict for row in Reviews([wrong, skipped], []).sampled("m", "d")] == ["wrong"]
    again = review("right", minute=2, probability=0.25)
    assert Reviews([wrong, again], []).sampled("m", "d") == [again]


def test_what_was_only_chosen_by_name_is_not_sampled():
    by_name = review("wrong", probability=None)
    assert Reviews([by_name], []).sampled("m", "d") == []
    other_caption = review("wrong", shown="A cat.", minute=1, probability=None)
    sampled = review("right")
    assert Reviews([sampled, other_caption], []).sampled("m", "d") == [sampled]
    assert Reviews([sampled, review("wrong", model="n", probability=None, minute=1)], []).sampled("m", "d") == [sampled]
    newer = review("right", shown="A cat.", minute=2)
    assert Reviews([by_name, newer], []).sampled("m", "d") == [newer]


def test_people_who_correct_in_different_words_differ():
    first = review("corrected", caption="A wolf.")
    same, other = (review("corrected", caption=text, minute=1, reviewer="Bob") for text in ("A wolf.", "A fox."))
    again = review("right", minute=2)
    assert Reviews([first, same], []).differing() == []
    assert Reviews([first, other], []).differing() == [(first, other)]
    assert Reviews([first, other, again], []).differing() == [(other, again)]
    third = review("wrong", minute=3, reviewer="Cy")
    assert Reviews([first, same, third], []).differing() == [(first, third)]


def test_what_a_person_wrote_and_another_called_wrong_does_not_count():
    corrected = review("corrected", caption="A wolf.")
    assert Reviews([corrected, review("wrong", shown="A wolf.", minute=1)], []).sentences() == {}
    kept = Reviews([corrected, review("right", shown="A wolf.", minute=1)], [])
    assert kept.sentences() == {"a.jpg": "A wolf."}
    record = {"uri": "a.jpg", "caption": "A dog."}
    assert kept.apply(record) == {"uri": "a.jpg", "caption": "A wolf.", "source": "review", "verdict": "corrected"}
    back = Reviews([review("wrong"), review("corrected", shown="A cat.", caption="A dog.", minute=1)], [])
    assert back.apply(record) == {**record, "source": "review", "verdict": "corrected"}
    assert Reviews([review("right", uri="b.jpg")], []).apply(record) == {**record, "source": "model"}
