"""A folder of runs with photos, failures, reviews, pages and exports, made by hand: what a prune has to go through."""

import json

from beam_job.images.local_path import local_path
from beam_job.report.write import write_report
from beam_job.runs.current import caption_files, current_runs
from beam_job.runs.folder import CAPTIONS, FAILURES, open_run_folder, run_folders
from beam_job.runs.record_file import RecordFile
from beam_job.runs.reviews import read_reviews
from tests.earlier_runs import earlier_run

FIRST, KILLED = "20260101T000000Z-000001", "20260103T000000Z-000003"  # runs of the archive
TIME = "2026-01-02T03:04:05.000+00:00"


def caption(uri, text="A cat.", **more):
    return {"uri": uri, "caption": text, "score": -1.0, "version": None, "sha256": "0" * 64, **more}


def review(uri, shown="A cat."):
    return {
        **{"format": 1, "uri": uri, "verdict": "right", "caption": None, "shown": shown, "model": "m", "decoding": "d"},
        **{"run": "1", "score": -1.0, "probability": None, "time": TIME, "reviewer": ""},
    }


def archive(folder, uris):
    """Two finished runs and a killed one over the photos, with reviews, a report, an export and leftovers."""
    folder.mkdir(parents=True, exist_ok=True)
    half = len(uris) // 2
    failed = [(uri, "decode", "truncated", {"known": bool(number % 2)}) for number, uri in enumerate(uris[half:])]
    first = earlier_run(folder / f"run={FIRST}", captions=uris[:half], failures=failed, **_BOOKS)
    second = earlier_run(folder / "run=20260102T000000Z-000002", captions=uris[half:], **_BOOKS)
    for run in (first, second):
        _balance(run)
    killed = earlier_run(folder / f"run={KILLED}", captions=uris[::2], finished=False)
    (killed / f"captions-{'b' * 32}.jsonl").write_text(lines(caption(uri, "A dog.") for uri in uris[1::2]))
    (first / f"captions-{'a' * 32}.jsonl").write_text(lines(map(caption, uris)))  # of a bundle that was tried again
    (folder / "reviews").mkdir()
    (folder / "reviews" / "reviews-1.jsonl").write_text(lines(map(review, uris[::2])))
    (folder / "reviews" / "reviews-2.jsonl").write_text(lines(map(review, uris[1::2])))
    _export(folder / "exports" / "20260104T000000Z-000004", uris[:2], uris[3])
    write_report(str(folder))
    return folder


_BOOKS = {"changed": 0, "touched": 0, "known_failures": 0, "failures_by_code": {}}


def _balance(run):
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    failures = [json.loads(line) for line in (run / "failures-1.jsonl").read_text().splitlines()]
    captioned = manifest["captions"][0]["records"]
    manifest["counts"] = {
        **{"input": captioned + len(failures), "captioned": captioned, "failed": len(failures)},
        **{"skipped": 0, "duplicates": 0},
    }
    known = sum(failure["known"] for failure in failures)
    manifest["failures"][0]["known"] = manifest["known_failures"] = known
    manifest["failures_by_code"] = {"decode/truncated": len(failures)} if failures else {}
    path.write_text(json.dumps(manifest))


def _export(folder, uris, example):
    folder.mkdir(parents=True)
    records = [
        {"uri": uri, "stage": "export", "error": "read_only", "message": "", "sidecar": f"{uri}.xmp"} for uri in uris
    ]
    (folder / f"failures-{'c' * 32}.jsonl").write_text(lines(records))
    manifest = {
        **{"id": folder.name, "counts": {"read": 9, "written": 9 - len(uris), "failed": len(uris)}},
        "failures_by_code": {"export/read_only": len(uris)},
        "failures": [{"name": f"failures-{'c' * 32}.jsonl", "records": len(uris), "sha256": ""}],
        "examples": [[f"{example}.xmp", "A cat."]],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def lines(records):
    return "".join(f"{json.dumps(record)}\n" for record in records)


def view(output):
    """What readers find in a folder: captions, failures and reviews, without their order."""
    output = local_path(str(output))
    current = [record["uri"] for file in caption_files(output) for record in RecordFile(file.path, lambda _: True)]
    records = []
    for directory in run_folders(output):
        run = open_run_folder(directory)
        for kind in (CAPTIONS, FAILURES):
            for path in run.files(kind):
                records += [(run.id, kind, record["uri"]) for record in RecordFile(path, lambda _: True)]
    reviews = read_reviews(output)
    assert not reviews.problems
    return sorted(current), sorted(records), sorted(review.uri for review in reviews.rows), len(current_runs(output))


def check_books(output):
    """Counts add up, and the files are as the documents say."""
    for directory in run_folders(str(output)):
        run = open_run_folder(directory)
        for kind in (CAPTIONS, FAILURES):
            for path, entry in run.files(kind).items():
                found = len(list(RecordFile(path, lambda _: True)))
                assert entry.get("records", found) == found, path
        if run.finished:
            counts, says = run.about["counts"], run.document
            assert counts["input"] == sum(counts.values()) - counts["input"], counts
            assert counts["captioned"] + says["touched"] == sum(entry["records"] for entry in says["captions"])
            assert counts["failed"] == sum(entry["records"] for entry in says["failures"])
            assert counts["failed"] == sum(says["failures_by_code"].values())
            assert says["known_failures"] == sum(entry["known"] for entry in says["failures"] if "known" in entry)


def without(found, gone):
    """A view of the folder without some photos."""
    current, records, reviews, runs = found
    kept = [record for record in records if record[2] not in gone]
    return [uri for uri in current if uri not in gone], kept, [uri for uri in reviews if uri not in gone], runs


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def traces(output, gone):
    """Files in which some photos are still named."""
    return [
        path for path in output.rglob("*") if path.is_file() and any(uri.encode() in path.read_bytes() for uri in gone)
    ]


def named(folder, uris):
    """A list of photos."""
    path = folder / "list.txt"
    path.write_text("".join(f"{uri}\n" for uri in uris))
    return path
