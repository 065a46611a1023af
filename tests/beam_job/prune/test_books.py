"""The books of a run before and after a prune, and the files of records that they name."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from beam_job.prune.books import Book, Rewritten, open_books, pruned_document
from beam_job.prune.leftovers import leftovers
from beam_job.prune.photo_names import PhotoNames
from beam_job.prune.record_files import described, rewrite, rows, without
from beam_job.runs.folder import CAPTIONS, FAILURES
from tests.archives import caption, lines
from tests.closed_folders import closed
from tests.earlier_runs import earlier_run

CODES = st.sampled_from(["fetch/not_found", "decode/truncated", "infer/no_caption"])


@given(st.data())
def test_counts_add_up_after_any_prune(data):
    files = data.draw(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=5), "captions, copied or not")
    failures = [data.draw(st.lists(CODES, min_size=1, max_size=5)) for _ in range(data.draw(st.integers(0, 3)))]
    says_touched = data.draw(st.booleans(), "older manifests do not say which files hold copies")
    touched = sum(records for records, copied in files if copied)
    captioned = sum(records for records, copied in files if not copied)
    failed = Counter(code for file in failures for code in file)
    skipped, duplicates = data.draw(st.integers(touched, touched + 9)), data.draw(st.integers(0, 9))
    entries = [
        {"name": f"c{number}", "records": records, **({"touched": records * copied} if says_touched else {})}
        for number, (records, copied) in enumerate(files)
    ]
    says = {
        "counts": {
            **{"input": captioned + failed.total() + skipped + duplicates, "captioned": captioned},
            **{"failed": failed.total(), "skipped": skipped, "duplicates": duplicates},
        },
        **{"changed": data.draw(st.integers(0, captioned)), "touched": touched, "known_failures": 0},
        "failures_by_code": dict(failed),
        "captions": entries,
        "failures": [{"name": f"f{number}", "records": len(file)} for number, file in enumerate(failures)],
    }
    rewritten, unchanged = [], {CAPTIONS: [], FAILURES: []}
    for kind, file in [*((CAPTIONS, entry) for entry in entries), *((FAILURES, entry) for entry in says["failures"])]:
        removed = data.draw(st.integers(0, file["records"]))
        if not removed:
            unchanged[kind].append(file)
            continue
        left = file["records"] - removed
        entry = {"name": f"{file['name']}-new", "records": left} if left else None
        codes = Counter(failures[says["failures"].index(file)][:removed]) if kind == FAILURES else Counter()
        rewritten.append(Rewritten(kind, "", "", entry, removed, codes, 0, bool(file.get("touched"))))
    book = Book("run=1", "manifest.json", says, {CAPTIONS: {}, FAILURES: {}}, True)
    after = pruned_document(book, rewritten, unchanged, {"id": "x"})
    counts = after["counts"]
    assert counts["input"] == says["counts"]["input"] == sum(counts.values()) - counts["input"]
    assert min(counts.values()) >= 0
    assert counts["captioned"] + after["touched"] == sum(entry["records"] for entry in after["captions"])
    assert counts["failed"] == sum(entry["records"] for entry in after["failures"])
    assert counts["failed"] == sum(after["failures_by_code"].values())
    assert counts["pruned"] == sum(file.removed for file in rewritten)
    assert after["changed"] <= counts["captioned"]
    kept = {kind: after[kind] for kind in (CAPTIONS, FAILURES)}
    again = pruned_document(Book("run=1", "", after, book.files, True), [], kept, {"id": "y"})
    assert again["counts"] == counts
    assert [note["id"] for note in again["pruned"]] == ["x", "y"]


def test_folders_that_this_account_may_not_read_are_named(tmp_path):
    for number in (1, 2):
        earlier_run(tmp_path / f"run={number}", captions=["a"])
        (tmp_path / "exports" / str(number)).mkdir(parents=True)
        (tmp_path / "exports" / str(number) / "manifest.json").write_text('{"id": "x"}')
    (tmp_path / "reviews").mkdir()
    folders = [tmp_path / "exports" / "1", tmp_path / "reviews", tmp_path / "run=1"]
    assert open_books(str(tmp_path))[1] == []
    for refused in (["listdir", "lstat", "stat"], ["listdir"]):  # files of a folder that cannot be listed may be there
        with closed(*folders, refused=refused):
            books, problems = open_books(str(tmp_path))
        assert [book.name for book in books] == ["run=2", "exports/2"]
        why = "cannot be read: this account lacks permission. Its files were not looked at."
        assert sorted(problems) == [f"{folder} {why}" for folder in folders]


def test_folders_behind_a_link_are_none_of_the_folder(tmp_path):
    elsewhere = earlier_run(tmp_path / "elsewhere", captions=["a"])
    output = tmp_path / "output"
    earlier_run(output / "run=1", captions=["a"])
    (output / "exports").mkdir()
    links = [output / name for name in ("exports/1", "reviews", "run=2")]
    for link in links:
        link.symlink_to(elsewhere)
    books, problems = open_books(str(output))
    assert [book.name for book in books] == ["run=1"]
    why = "is a symbolic link, which is not followed. Its files were not looked at."
    assert sorted(problems) == [f"{link} {why}" for link in links]
    assert leftovers(str(output), books, datetime.now(UTC) + timedelta(days=9)) == ([], [])


def photo_names(*uris):
    found = PhotoNames()
    for uri in uris:
        found.add(uri)
    return found


def test_lines_that_hold_no_record_stay_and_the_file_is_described_as_it_is(tmp_path):
    path = tmp_path / "captions-1.jsonl"
    torn = '{"uri": "c", "capt'
    path.write_text(lines([caption("a"), caption("b")]) + "\n[]\n" + lines([caption("d")]) + torn)
    found = rewrite(str(path), CAPTIONS, {"records": 6, "touched": 0}, photo_names("a", "d"))
    left = (tmp_path / found.entry["name"]).read_text()
    assert left == lines([caption("b")]) + "\n[]\n" + torn + "\n"
    assert found.removed == 2
    assert {**described(found.written, CAPTIONS, {}), "touched": 0} == found.entry
    assert described(str(path), CAPTIONS, {"name": "x", "records": 9}) == {"name": "x", "records": 9}


def test_a_record_that_another_program_wrote_is_found_whatever_the_order_of_its_fields(tmp_path):
    path = tmp_path / "captions-1.jsonl"
    other = {"score": -1.0, "caption": 'A "cat".', "uri": "gs://b/\u00e4 \u2028.jpg"}
    path.write_text(lines([other]) + json.dumps(caption(other["uri"]), ensure_ascii=False) + "\n")
    assert [record["uri"] for _, record in rows(str(path), CAPTIONS)] == [other["uri"]] * 2
    found = rewrite(str(path), CAPTIONS, {}, photo_names(other["uri"]))
    assert (found.entry, found.removed) == (None, 2)


def test_a_caption_that_is_torn_after_its_photo_was_named_goes_too(tmp_path):
    path = tmp_path / "captions-1.jsonl"
    path.write_text('{"uri": "a", "caption": "A cat.", "sco\n{"uri": "b", "caption": "A dog.", "sco')
    found = rewrite(str(path), CAPTIONS, {}, photo_names("a"))
    assert (tmp_path / found.entry["name"]).read_text() == '{"uri": "b", "caption": "A dog.", "sco\n'


def test_copies_of_captions_that_stay_are_counted_as_such(tmp_path):
    path = tmp_path / "captions-1.jsonl"
    path.write_text(lines([caption("a"), caption("b"), caption("c")]))
    copied = rewrite(str(path), CAPTIONS, {"records": 3, "touched": 3}, photo_names("a"))
    assert (copied.touched, copied.entry["records"], copied.entry["touched"]) == (True, 2, 2)
    made = rewrite(str(path), CAPTIONS, {"records": 3, "touched": 0}, photo_names("a"))
    assert (made.touched, made.entry["records"], made.entry["touched"]) == (False, 2, 0)


def test_a_line_that_no_reader_takes_goes_with_a_file_that_is_written_again(tmp_path):
    path = tmp_path / "captions-1.jsonl"
    path.write_text(lines([caption("a")]) + "x" * (5 << 20) + "\n" + lines([caption("b")]))
    found = rewrite(str(path), CAPTIONS, {"records": 3}, photo_names("a"))
    assert (found.entry["records"], found.removed) == (1, 2)


def test_failures_are_counted_by_their_code_and_rows_of_lists_are_no_photos(tmp_path):
    path = tmp_path / "failures-1.jsonl"
    failures = [("a", "fetch", True), ("list.csv#3", "list", False), ("b", "fetch", True), ("a", "decode", False)]
    path.write_text(lines({"uri": uri, "stage": stage, "error": "e", "known": known} for uri, stage, known in failures))
    found = rewrite(str(path), FAILURES, {"records": 4, "known": 2}, photo_names("a", "list.csv#3"))
    assert found.codes == {"fetch/e": 1, "decode/e": 1}
    assert (found.known, found.entry["known"], found.entry["records"]) == (1, 1, 2)


def test_reviews_keep_the_bytes_of_what_stays():
    data = b'{"uri": "a"}\r\n{"uri":"b"}\nno review\n'
    assert without(data, "reviews", photo_names("a")) == b'{"uri":"b"}\nno review\n'
