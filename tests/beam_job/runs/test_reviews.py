"""Reviews read back, and which sentence stands for an image by them."""

import json
from contextlib import nullcontext, suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_job.export.command import main as export
from beam_job.model.decoding import decoding_digest
from beam_job.report.command import main as report
from beam_job.review.command import main as review_command
from beam_job.runs.current import _ApplyReviews
from beam_job.runs.reviews import BadReviewError, Review, Reviews, UnreadReviewsError, read_reviews
from beam_job.trust.command import main as trust
from tests.closed_folders import closed
from tests.earlier_runs import earlier_run

ROW = {
    "format": 1,
    "uri": "a.jpg",
    "verdict": "right",
    "caption": None,
    "shown": "A dog.",
    "model": "m",
    "decoding": "d",
    "run": "r",
    "score": -1.0,
    "probability": 0.5,
    "time": "2026-01-02T03:04:05.000Z",
    "reviewer": "Ann",
}


def review(verdict, shown="A dog.", caption=None, minute=0, **fields):
    time = f"2026-01-02T03:{minute:02}:00Z"
    return Review.parse({**ROW, "verdict": verdict, "shown": shown, "caption": caption, "time": time, **fields})


def stands(*reviews, caption="A dog.", keep_wrong=False):
    record = Reviews(list(reviews), []).apply({"uri": "a.jpg", "caption": caption, "score": -1.0}, keep_wrong)
    return record and (record["caption"], record["source"], record.get("verdict"))


@pytest.mark.parametrize("carried", ["right", "wrong", "corrected", 5])
def test_carried_fields_are_not_taken_for_reviews(carried):
    record = {"uri": "a.jpg", "caption": "A dog.", "score": -1.0, "verdict": carried, "source": carried, "id": 7}
    bare = {"uri": "a.jpg", "caption": "A dog.", "score": -1.0, "id": 7}
    other = review("wrong", shown="A cat.")
    for reviews in ([], [other], [review("right", uri="b.jpg")]):
        assert Reviews(reviews, []).apply(record) == {**bare, "source": "model"}
    assert Reviews([review("right")], []).apply(record) == {**bare, "source": "model", "verdict": "right"}


def test_a_row_comes_back_as_it_was():
    found = Review.parse(ROW)
    assert json.loads(found.to_json()) == {**ROW, "time": "2026-01-02T03:04:05.000+00:00"}
    assert Review.parse(json.loads(found.to_json())) == found


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"uri": None}, "its uri is None"),
        ({"uri": ""}, "its uri is ''"),
        ({"uri": "\ud800"}, "its uri is"),
        ({"verdict": "good"}, "its verdict is 'good', not one of right"),
        ({"verdict": ["right"]}, "its verdict is"),
        ({"verdict": "corrected", "caption": None}, "its caption is None"),
        ({"verdict": "corrected", "caption": " \n "}, "not a sentence"),
        ({"verdict": "corrected", "caption": "a\x1b[2J"}, "not a sentence"),
        ({"verdict": "corrected", "caption": "x" * 1_000_000}, "its caption has 1,000,000 characters, at most 2,000"),
        ({"shown": 5}, "its shown is 5"),
        ({"score": True}, "its score is True"),
        ({"score": "1"}, "its score is '1'"),
        ({"probability": 0}, "its probability is 0"),
        ({"probability": 1.5}, "its probability is 1.5"),
        ({"probability": "x"}, "its probability is 'x'"),
        ({"time": "yesterday"}, "its time is 'yesterday'"),
        ({"time": "2026-01-02T03:04:05"}, "its time is"),
        ({"time": None}, "its time is None"),
        ({"time": "2999-01-01T00:00:00Z"}, "lies in the future"),
        ({"format": 2}, "its format is 2, this version reads 1: install a newer version of this package"),
        ({"format": "1"}, "its format is '1'"),
        ({"reviewer": "x" * 1000}, "its reviewer has 1,000 characters"),
        ({"model": 5}, "its model is 5"),
    ],
)
def test_rows_that_are_no_reviews_are_named(fields, sentence):
    with pytest.raises(BadReviewError, match=r"^.{0,300}$") as caught:
        Review.parse({**ROW, **fields})
    assert sentence in str(caught.value)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)), st.data())
def test_whatever_stands_in_a_row_it_is_a_review_or_a_bad_one(value, data):
    name = data.draw(st.sampled_from(sorted(ROW)))
    with suppress(BadReviewError):
        assert isinstance(Review.parse({**ROW, name: value}), Review)
    with pytest.raises(BadReviewError):
        Review.parse(value)


def test_a_corrected_sentence_replaces_the_captions_of_all_models():
    corrected = review("corrected", caption="A wolf.")
    assert stands(corrected) == ("A wolf.", "review", "corrected")
    assert stands(corrected, caption="A cat.") == ("A wolf.", "review", "corrected")


def test_what_was_called_wrong_is_left_out_and_another_sentence_is_new():
    wrong = review("wrong")
    assert stands(wrong) is None
    assert stands(wrong, keep_wrong=True) == ("A dog.", "model", "wrong")
    assert stands(wrong, caption="A cat.") == ("A cat.", "model", None)


def test_what_was_corrected_away_does_not_come_back_when_the_correction_falls():
    corrected = review("corrected", caption="A wolf.")
    assert stands(corrected, review("wrong", shown="A wolf.", minute=1)) is None


def test_the_newest_review_counts_whatever_the_order_of_the_rows():
    corrected = review("corrected", caption="A wolf.")
    assert stands(review("right", minute=5), corrected) == ("A dog.", "model", "right")
    assert stands(review("right", minute=5), review("wrong", minute=9)) is None
    assert stands(corrected, review("corrected", caption="A fox.", minute=1)) == ("A fox.", "review", "corrected")


def test_another_models_caption_called_wrong_leaves_a_persons_words():
    later = review("wrong", shown="A cat.", minute=1)
    assert stands(review("corrected", caption="A wolf."), later, caption="A cat.") == (
        "A wolf.",
        "review",
        "corrected",
    )


def test_the_sentences_that_people_hold_right():
    def held(*reviews):
        return Reviews(list(reviews), []).sentences().get("a.jpg")

    corrected, right = review("corrected", caption="A wolf."), review("right", shown="A cat.", minute=1)
    assert held(corrected) == "A wolf."
    assert held(corrected, right) == "A cat."
    assert held(right, review("right", shown="A fox.", minute=2)) == "A fox."
    assert held(right, review("wrong", shown="A cat.", minute=2)) is None
    assert held(review("wrong"), review("skipped")) is None


def test_a_skipped_photo_is_no_verdict():
    assert stands(review("skipped")) == ("A dog.", "model", None)
    assert stands(review("corrected", caption="A wolf."), review("skipped", minute=1))[0] == "A wolf."
    assert Reviews([review("wrong"), review("skipped", minute=1)], []).newest("m", "d")[0].verdict == "wrong"


def test_two_people_who_differ_are_found_and_one_who_thinks_again_is_not():
    first, second = review("right"), review("wrong", minute=1, reviewer="Bob")
    assert Reviews([second, first], []).differing() == [(first, second)]
    assert Reviews([first, review("wrong", minute=1)], []).differing() == []
    assert Reviews([first, review("right", minute=1, reviewer="Bob")], []).differing() == []
    assert Reviews([first, review("wrong", shown="A cat.", minute=1, reviewer="Bob")], []).differing() == []


def test_reviews_of_a_folder_are_read_and_other_lines_are_named(tmp_path):
    assert read_reviews(str(tmp_path)).rows == []
    (tmp_path / "reviews").mkdir()
    good = review("right").to_json()
    (tmp_path / "reviews" / "a.jsonl").write_text(f'{good}\n{{"uri": 5}}\n[1\n')
    (tmp_path / "reviews" / "b.jsonl").write_text(review("wrong", minute=1).to_json())
    found = read_reviews(tmp_path.as_uri())
    assert [row.verdict for row in found.rows] == ["right", "wrong"]
    assert len(found.problems) == 1
    assert "2 of 3 lines contain no record" in found.problems[0]


def test_a_name_that_would_control_a_terminal_is_escaped(tmp_path):
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "\x1b[2J.jsonl").write_text("[1\n")
    (problem,) = read_reviews(str(tmp_path)).problems
    assert problem.startswith(f"{tmp_path}/reviews/\\x1b[2J.jsonl: ")


def test_decodings_have_the_same_name_whatever_the_order_of_their_options():
    assert decoding_digest({"a": 1, "b": 2.0}) == decoding_digest({"b": 2.0, "a": 1}) != decoding_digest({"a": 1})


def test_a_review_from_today_is_fine_on_a_clock_that_is_a_little_behind():
    assert Review.parse(ROW, datetime(2026, 1, 1, 12, tzinfo=UTC)).time.startswith("2026-01-02")


def hide(output, how):
    """Puts reviews where they cannot be read; returns a context in which that is so, and what is said."""
    folder, elsewhere = output / "reviews", output.parent / "elsewhere"
    file = folder / "1.jsonl"
    if how in ("a linked folder", "a linked file", "a file that is gone"):
        hidden = folder if how == "a linked folder" else file
        hidden.rename(elsewhere)
        hidden.symlink_to(output.parent / "nowhere" if how == "a file that is gone" else elsewhere)
        return nullcontext(), hidden, "symbolic link" if how == "a linked folder" else "not a regular file"
    refused = ["listdir"] if how == "a closed folder" else ["lstat", "stat"]
    hidden = folder if how == "a closed folder" else file
    return closed(folder, refused=refused), hidden, "cannot be read: this account lacks permission. Captions"


@pytest.mark.parametrize(
    "how", ["a linked folder", "a linked file", "a file that is gone", "a closed folder", "a closed file"]
)
def test_no_command_goes_on_without_reviews_that_are_there(tmp_path, capsys, how):
    output = tmp_path / "out"
    run = earlier_run(output / "run=1", captions=["a.jpg"])
    (output / "reviews").mkdir()
    for path in (output / "reviews" / "1.jsonl", tmp_path / "new.jsonl"):
        path.write_text(review("wrong", shown="A cat.").to_json() + "\n")
    assert [row.verdict for row in read_reviews(str(output)).rows] == ["wrong"]
    context, hidden, why = hide(output, how)
    commands = [
        (export, [str(output), "--to", "csv"]),
        (trust, [str(output)]),
        (report, [str(output)]),
        (report, [str(run)]),
        (review_command, [str(output)]),
        (review_command, [str(output), "--add", str(tmp_path / "new.jsonl")]),
    ]
    before = sorted(output.rglob("*"))
    with context:
        with pytest.raises(UnreadReviewsError, match=why):
            _ApplyReviews(str(output), keep_wrong=False).setup()
        for main, arguments in commands:
            assert main(arguments) == 2
            (sentence,) = capsys.readouterr().err.splitlines()
            assert f": {hidden} " in sentence
            assert why in sentence
        assert export([str(output), "--to", "xmp", "--undo"]) == 0  # needs no reviews
    assert [path for path in sorted(output.rglob("*")) if "exports" not in path.parts] == before
