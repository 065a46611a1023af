"""Files that nobody reads: which can be deleted, and which somebody may still be writing."""

import os
from datetime import UTC, datetime, timedelta

from beam_job.prune.books import Book
from beam_job.prune.leftovers import leftovers
from beam_job.runs.folder import FAILURES

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def put(folder, *names, age):
    """Writes files whose last change was so long ago; returns their paths."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.utime(path, ((NOW - age).timestamp(),) * 2)
    return {str(folder / name) for name in names}


def left(unique):
    """Names of files that killed programs leave: beside each place, and of a table."""
    beside = [f"{place}.{unique}.tmp" for place in ("report.html", "reviews/1.jsonl", "run=1/manifest.json")]
    parts = (f"part-{unique}.jsonl", "table.csv", "table.parquet", f"failures-{unique}.jsonl")
    return [*beside, *(f"exports/{unique}/{part}" for part in parts)]


def test_what_nobody_can_be_writing_any_more_can_be_deleted(tmp_path):
    old = put(tmp_path, *left("a" * 32), age=DAY)
    young = put(tmp_path, *left("b" * 32), age=DAY - SECOND)
    assert tuple(map(set, leftovers(str(tmp_path), [], NOW))) == (old, young)


def test_files_of_other_names_and_in_other_places_stay(tmp_path):
    unique = "c" * 32
    names = (f"part-{unique}.jsonl", "table.csv", "x.tmp", f"{unique}.tmp", "notes.txt", "reviews/table.csv")
    inside = (f"run=1/captions-{unique}.jsonl", "run=1/run.json", "exports/1/notes.txt", f"exports/part-{unique}.jsonl")
    put(tmp_path, *names, *inside, age=9 * DAY)
    assert leftovers(str(tmp_path), [], NOW) == ([], [])


def test_what_an_earlier_prune_staged_goes_at_once(tmp_path):
    staged = put(tmp_path, "run=1/manifest.json.20260101T000000Z-0123ab.pruned", age=0 * DAY)
    put(tmp_path, "run=1/manifest.json.pruned", age=9 * DAY)
    assert leftovers(str(tmp_path), [], NOW) == ([*staged], [])


def test_failures_of_an_export_that_a_killed_prune_wrote_go_at_once_and_those_that_count_stay(tmp_path):
    counts, other, killed = (f"exports/1/failures-{letter * 32}-pruned.jsonl" for letter in "abc")
    put(tmp_path, counts, other.replace("/1/", "/2/"), age=9 * DAY)
    put(tmp_path, f"exports/1/failures-{'d' * 32}.jsonl", age=0 * DAY)  # somebody may be writing it
    left = put(tmp_path, killed, age=0 * DAY)
    export = Book("exports/1", "manifest.json", {}, {FAILURES: {str(tmp_path / counts): {}}}, True)
    assert leftovers(str(tmp_path), [export], NOW)[0] == [*left]
