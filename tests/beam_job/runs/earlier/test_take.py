"""What is decided about one image, by what is listed and known of it."""

import random

import pytest
from apache_beam.pvalue import TaggedOutput

from beam_job.records import EarlierCaption, Failure, Unchanged
from beam_job.runs.earlier import take


def decide(monkeypatch, *values, recheck=False):
    """The outputs by their tags, whatever the order of the values; (duplicates, skipped, without a version)."""
    results = []
    for seed in range(4):
        shuffled = random.Random(seed).sample(values, len(values))
        monkeypatch.setattr(take, "pairs", lambda group, rows=shuffled: [("a", value) for value in rows])
        step = take._Take(recheck)
        step.start_bundle()
        outputs = [
            (output.tag, output.value) if isinstance(output, TaggedOutput) else ("new", output)
            for output in step.process(None)
        ]
        (counts,) = step.finish_bundle()
        results.append((outputs, counts.value.value))
    assert all(result == results[0] for result in results)
    return results[0]


def listed(version=None, carried=None):
    return carried if version is None else (take.LISTED, carried, version)


def captioned(run, version, sha256="ab", *old, path=None):
    return (take.CAPTIONED, run, version, sha256, path or f"{run}.jsonl", 5, 9, *old)


@pytest.mark.parametrize("recheck", [False, True])
def test_what_is_not_known_is_new(monkeypatch, recheck):
    assert decide(monkeypatch, listed(), recheck=recheck) == ([("new", ("a", None, None))], (0, 0, 0))
    new = [("new", ("a", {"id": 1}, None, "v", ()))]
    assert decide(monkeypatch, *[listed("v", {"id": 1})] * 3, recheck=recheck) == (new, (2, 0, 0))
    assert decide(monkeypatch, captioned("1", "v"), True, recheck=recheck) == ([], (0, 0, 0))


def test_the_latest_failure_goes_along(monkeypatch):
    failures = [("run=1", "fetch", "not_found", None), ("run=3", "decode", "corrupt", "ab"), ("run=2", "x", "y", None)]
    new = [("new", ("a", None, ("decode", "corrupt", "ab")))]
    assert decide(monkeypatch, listed(), *failures) == (new, (0, 0, 0))


def test_what_is_captioned_is_skipped(monkeypatch):
    assert decide(monkeypatch, listed(), True) == ([], (0, 1, 0))
    assert decide(monkeypatch, listed("v"), True) == ([], (0, 1, 0))
    assert decide(monkeypatch, listed("v"), captioned("1", "v")) == ([], (0, 1, 0))
    assert decide(monkeypatch, listed(), captioned("1", "v")) == ([], (0, 1, 0))
    assert decide(monkeypatch, listed("v"), captioned("1", None)) == ([], (0, 1, 1))
    assert decide(monkeypatch, listed(), captioned("1", None)) == ([], (0, 1, 0))
    assert decide(monkeypatch, listed(), captioned("1", None), recheck=True) == ([], (0, 1, 1))
    assert decide(monkeypatch, listed("v"), captioned("2", "v"), captioned("1", "w")) == ([], (0, 1, 0))


def test_another_version_is_new_with_the_newest_caption_of_each_content(monkeypatch):
    known = [captioned("1", "v", "ab"), captioned("2", "w", "cd"), captioned("3", "v", "ab"), captioned("4", "w", None)]
    contents = (("ab", "3.jsonl", 5, 9), ("cd", "2.jsonl", 5, 9))
    assert decide(monkeypatch, listed("x"), *known) == ([("new", ("a", None, None, "x", contents))], (0, 0, 0))
    unsure = [("unsure", ("a", None, None, "w", contents))]
    assert decide(monkeypatch, listed(), *known, recheck=True) == (unsure, (0, 0, 0))


@pytest.mark.parametrize("versions", [("9", "10"), ("z1", "a2"), ("a2", "z1"), ("2024-1-9", "9"), ("1.5", "1.25")])
def test_several_versions_are_new_until_they_are_all_captioned(monkeypatch, versions):
    """A list to which rows are added, night by night."""

    def night(recorded, *versions):
        rows = [listed(version) for version in (*versions, None, *versions)]
        outputs, (_, skipped, _) = decide(monkeypatch, *rows, captioned("1", recorded))
        assert skipped == (not outputs)
        return outputs and outputs[0][1][3]

    first, second = versions
    assert night(first, first) == []
    both = night(first, first, second)
    assert both
    assert both == night(second, first, second)
    assert night(both, first, second) == []
    three = night(both, first, second, "third")
    assert three
    assert three != both
    assert night(three, first, second, "third") == []
    assert night(three, second) == second


def test_carried_fields_are_those_of_the_row_with_the_newest_version(monkeypatch):
    def carried(*rows):
        (new,), _ = decide(monkeypatch, *[listed(version, {"id": number}) for number, version in rows])
        return new[1][1]["id"]

    assert carried((1, "9"), (2, "10"), (3, None)) == 2
    assert carried((1, "10"), (2, "9.5"), (3, "w")) == 1
    assert carried((1, "2026-01-02"), (2, "2025-12-31")) == 1
    assert carried((1, "1e+16"), (2, "9999999999999998.0"), (3, "w")) == 1  # as Python writes 1e16
    assert carried((1, "-0.5"), (2, "-7"), (3, "w"), (4, None)) == 1
    assert carried((1, "-1.5E-07"), (2, "-1")) == carried((1, "+3"), (2, "1e-999")) == 1
    assert carried((1, "2"), (2, "1e999999999")) == 1  # no number that anybody means
    assert carried((2, "v"), (1, "v")) == carried((1, "v"), (2, "v"))  # nobody knows which is right
    assert carried((2, None), (1, None)) == carried((1, None), (2, None))


@pytest.mark.parametrize("fields", [{"id": "7", "album": None}, {"id": "", "album": ""}])
def test_a_row_that_carries_nothing_gives_its_version_alone(monkeypatch, fields):
    """As the row of a glob does, for an image that is in a list, too."""
    nothing = {"id": None, "album": None}
    rows = [listed("9-9", nothing), listed(None, fields), listed(None, nothing)]
    assert decide(monkeypatch, *rows) == ([("new", ("a", fields, None, "9-9", ()))], (2, 0, 0))
    assert decide(monkeypatch, *rows, captioned("1", "9-9")) == ([], (2, 1, 0))
    (new,), _ = decide(monkeypatch, *rows, listed("5", fields))
    assert new[1][1] == fields
    assert new[1][3].startswith("2 versions: ")
    (new,), _ = decide(monkeypatch, listed("2", nothing), listed("1", fields), listed(None, {"id": "8"}))
    assert new[1][1] == fields


def test_what_was_captioned_under_another_name(monkeypatch):
    old = captioned("1", "v", "ab", "old")
    found, counts = decide(monkeypatch, listed("v", {"id": 1}), old)
    assert found == [("renamed", Unchanged("a", {"id": 1}, "v", EarlierCaption("ab", "1.jsonl", 5, 9, "old")))]
    assert counts == (0, 0, 0)
    (_, unchanged), *_ = decide(monkeypatch, listed(), captioned("1", "v", None, "old"))[0]
    assert unchanged == Unchanged("a", None, "v", EarlierCaption("", "1.jsonl", 5, 9, "old"))
    assert decide(monkeypatch, listed("v"), captioned("2", "v", "ab", "old"), captioned("1", "v")) == ([], (0, 1, 0))
    contents = (("ab", "1.jsonl", 5, 9, "old"),)
    assert decide(monkeypatch, listed("w"), old)[0] == [("new", ("a", None, None, "w", contents))]
    assert decide(monkeypatch, listed(), old, recheck=True)[0] == [("new", ("a", None, None, None, contents))]


def test_failures_of_listing_are_known_as_often_as_they_were_recorded(monkeypatch):
    failures = [Failure("a", "list", "bad_row", f"{number}") for number in range(3)]
    known = ("run=1", "list", "bad_row", None)
    found, counts = decide(monkeypatch, *failures[:1], known, known)
    assert found == [("failed", take.replace(failures[0], earlier=known[1:]))]
    assert counts == (0, 0, 0)
    monkeypatch.setattr(take, "pairs", lambda group: [("a", value) for value in (*failures, known, known)])
    step = take._Take(False)
    step.start_bundle()
    assert [output.value.earlier for output in step.process(None)] == [known[1:], known[1:], None]
    other = Failure("a", "fetch", "not_found", "gone")
    (_, failure), *_ = decide(monkeypatch, other, ("run=1", "fetch", "not_found", None))[0]
    assert failure.earlier == ("fetch", "not_found", None)
