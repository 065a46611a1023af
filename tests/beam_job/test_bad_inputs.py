"""One job over good photos and everything bad: each bad file, row, answer and earlier run costs itself alone."""

import json
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from beam_job.cli import main
from tests.bad_images import bad_images
from tests.deadlines import deadlines
from tests.https_server import https_server
from tests.photos import photos
from tests.storage import Storage
from tests.tiny_model import write_tiny_model

OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {  # of Cloud Storage; a pair goes on with its second part for ever
    "negative": (OK + b"Content-Length: -1\r\n\r\nx", "refused"),
    "word": (OK + b"Content-Length: many\r\n\r\nx", "refused"),
    "digits": (OK + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\nx", "too_large"),
    "digest": (OK + b"X-Goog-Hash: crc32c=x\r\n\r\nx", "refused"),
    "packed": (OK + b"Content-Encoding: br\r\n\r\nx", "refused"),
    "coding": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\nx", "refused"),
    "again": ((b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "deadline_exceeded"),
    "header": ((OK + b"X-Slow: ", b"x"), "deadline_exceeded"),
    "body": ((OK + b"\r\n", b"x"), "deadline_exceeded"),
    "forbidden": (403, "permission_denied"),
    "down": (503, "unavailable"),
    "gone": (410, "not_found"),
}
REDIRECTIONS = {
    "https://[": "bad_uri",
    "https://user:secret@127.0.0.1/": "bad_uri",
    "http://127.0.0.1/": "scheme_not_allowed",
    "file:///etc/passwd": "scheme_not_allowed",
    "/again": "refused",
}
URIS = {
    "file:///photos/a%00.jpg": "bad_uri",
    "file://elsewhere/a.jpg": "bad_uri",
    "/photos/" + "a" * 5000: "not_found",
    "/dev/zero": "not_found",
    "gs://../a.jpg": "bad_uri",
    "gs://archive/..": "bad_uri",
    "https://[::1/a.jpg": "bad_uri",
    "ftp://127.0.0.1/a.jpg": "scheme_not_allowed",
}
BAD_ROWS = 4


class Redirecting(BaseHTTPRequestHandler):
    """Redirects /NUMBER to one of ``REDIRECTIONS``, and all else in a circle."""

    def do_GET(self):
        number = self.path[1:]
        self.send_response(302)
        self.send_header("Location", list(REDIRECTIONS)[int(number)] if number.isdecimal() else "/again")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def lists(folder, photo, rows):
    """Writes a list of each kind: a row that is good, bad ones, and URIs in ``rows``."""
    deep = '{"a":' * 490 + "1" + "}" * 490
    texts = {
        "a.csv": f'uri,note\n{photo},x\n{folder}/0.jpg,"so called\n{folder}/1.jpg,red, blue\n',
        "a.jsonl": f'{{"uri": "{photo}"}}\n{{"uri": "{folder}/2.jpg", "note": {deep}}}\n{{"uri": "{folder}/3.jpg"\n',
        "a.txt": "".join(f"{row}\n" for row in [photo, *rows]),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in texts]


def bad_runs(output, canary):
    """A torn line in the run that is there, a foreign run, and one whose manifest leads out of its folder."""
    (run,) = output.glob("run=*")
    torn = sorted(run.glob("captions-*.jsonl"))[0]
    with torn.open("a") as file:
        file.write('{"uri": "/photos/tor')
    manifest = json.loads((run / "manifest.json").read_text())
    foreign, hostile = output / "run=20200101T000000Z-abcdef", output / "run=20200102T000000Z-abcdef"
    for folder in (foreign, hostile):
        folder.mkdir()
    (foreign / "run.json").write_text(json.dumps({**manifest, "options": "--delete everything", "counts": [1]}))
    names = [f"../../{canary.name}", str(canary), "/etc/passwd", "captions-1.jsonl/../../x", 7]
    files = [{"name": name, "records": 1, "sha256": "0" * 64} for name in names]
    (hostile / "manifest.json").write_text(json.dumps({**manifest, "id": "x", "captions": files, "failures": files}))


class Job:
    def __init__(self, folder, **options):
        write_tiny_model(folder / "model")
        self.argv = ["--model", f"{folder}/model"]
        self.argv += [text for name, value in options.items() for text in (f"--{name}", str(value))]

    def __call__(self, output, *argv):
        """The status, the manifest, and how many seconds it took."""
        before = set(output.glob("run=*"))
        started = time.monotonic()
        status = main([*self.argv, "--output", str(output), *argv])
        seconds = time.monotonic() - started
        self.run = next(run for run in output.glob("run=*") if run not in before)
        return status, json.loads((self.run / "manifest.json").read_text()), seconds

    def records(self, kind):
        paths = self.run.glob(f"{kind}-*.jsonl")
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_each_bad_input_costs_itself_alone(tmp_path, monkeypatch, capsys, caplog, count):
    good = photos(tmp_path / "good", count)
    job = Job(tmp_path, fetch_deadline=600, decode_deadline=600)
    glob = f"{tmp_path}/good/*.jpg"
    expected = dict(URIS)
    bad = tmp_path / "bad"
    bad.mkdir()
    for name, (data, code) in bad_images().items():
        (bad / name).write_bytes(data)
        expected[str(bad / name)] = code
    (bad / "dangling.jpg").symlink_to("nowhere")
    expected[str(bad / "dangling.jpg")] = "not_found"
    endless = [name for name, (_, code) in ANSWERS.items() if code == "deadline_exceeded"]
    with (
        Storage() as storage,
        https_server(Redirecting, tmp_path, monkeypatch) as web,
        deadlines(600, endless),
    ):
        storage.bucket("archive")
        for name, (fault, code) in ANSWERS.items():
            storage.put("archive", name, b"x")
            storage.faults[name] = [fault] * 99
            expected[f"gs://archive/{name}"] = code
        for number, code in enumerate(REDIRECTIONS.values()):
            expected[f"{web}/{number}"] = code
        listed = [uri for uri in expected if not uri.startswith(str(bad))]
        argv = ["--images", glob, f"{bad}/*", "--carry", "note", "--allow_https", "--uris"]
        argv += lists(tmp_path, good[0], listed)

        status, manifest, seconds = job(tmp_path / "out", *argv)
        assert status == 0
        failures = job.records("failures")
        assert {row["uri"]: row["error"] for row in failures if row["stage"] != "list"} == expected
        assert [row["error"] for row in failures if row["stage"] == "list"] == ["bad_row"] * BAD_ROWS
        assert manifest["counts"] == {
            "input": count + len(expected) + BAD_ROWS + 3,
            "captioned": count,
            "failed": len(expected) + BAD_ROWS,
            "skipped": 0,
            "duplicates": 3,  # the good row of each list
        }
        assert {Path(row["uri"]) for row in job.records("captions")} == set(good)
        assert not {"fetch/unexpected", "decode/unexpected"} & manifest["failures_by_code"].keys()
        assert all(len(row["message"]) < 500 and row["message"].isprintable() for row in failures)

        late = photos(tmp_path / "late", 1)[0]
        canary = tmp_path / "canary.jsonl"
        canary.write_text(json.dumps({"uri": str(late), "caption": "Not of a run."}) + "\n")
        bad_runs(tmp_path / "out", canary)
        status, manifest, _ = job(tmp_path / "out", *argv, "--images", str(late))
        assert status == 0
        counts = manifest["counts"]
        assert (counts["captioned"], counts["failed"], counts["skipped"]) == (1, len(expected) + BAD_ROWS, count)
        assert manifest["known_failures"] == counts["failed"]
        assert [row["uri"] for row in job.records("captions")] == [str(late)]
        assert manifest["passed_over"] >= 3
        for named in (
            "abcdef",
            "lines contain no record",
            "run.json does not belong to a run",
            "files that a run does not write",
        ):
            assert named in caplog.text
    if count > 100:
        _, _, alone = job(tmp_path / "alone", "--images", glob)
        with capsys.disabled():
            print(f"\n{count} photos: {alone:.1f} s alone, {seconds:.1f} s with {len(expected)} bad inputs")
