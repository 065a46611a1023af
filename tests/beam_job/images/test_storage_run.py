"""A run over a Cloud Storage that fails as the real one does: lists, images and output all lie on gs://."""

import json

import pytest
from apache_beam.io.filesystems import FileSystems

from beam_job.cli import main
from tests.deadlines import deadlines
from tests.photos import photos
from tests.storage import Storage
from tests.tiny_model import write_tiny_model

PASSING = [429, 503, 500, 408, "reset", "short", "damaged", "cut", [503, "reset", 429], "slow"]
OK = b"HTTP/1.1 200 OK\r\n"
LASTING = {
    "missing": (None, "fetch", "not_found"),
    "forbidden": (403, "fetch", "permission_denied"),
    "down": (503, "fetch", "unavailable"),
    "broken": ("reset", "fetch", "unavailable"),
    "late": ("silent", "fetch", "deadline_exceeded"),
    "negative": (OK + b"Content-Length: -1\r\n\r\nx", "fetch", "refused"),
    "endless": (OK + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\nx", "fetch", "too_large"),
    "digest": (OK + b"X-Goog-Hash: crc32c=x\r\n\r\nx", "fetch", "refused"),
    "again": ((b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "fetch", "deadline_exceeded"),
    "header": ((OK + b"X-Slow: ", b"x"), "fetch", "deadline_exceeded"),
    "document": (b"%PDF-1.7 ...", "decode", "unsupported_format"),
    "page": (b"<html>404</html>", "decode", "not_an_image"),
    "torn": ("torn", "decode", "truncated"),
    "heavy": (b"\xff\xd8" + bytes(300_000), "fetch", "too_large"),
    "gone": (410, "fetch", "not_found"),
}
ENDLESS = [f"{kind}-" for kind, (_, _, code) in LASTING.items() if code == "deadline_exceeded"]

NO_URIS = ["file:///photos/a%00.jpg", "gs://../a.jpg", "gs://archive/.."]


def read_lines(pattern):
    found = []
    for match in FileSystems.match([pattern])[0].metadata_list:
        with FileSystems.open(match.path) as file:
            found += [json.loads(line) for line in file.read().splitlines()]
    return found


@pytest.mark.usefixtures("colours")
def test_240_objects_of_which_one_in_five_requests_falters(tmp_path, capsys):
    write_tiny_model(tmp_path / "model")
    pictures = [path.read_bytes() for path in photos(tmp_path / "photos", 24)]
    with Storage() as storage:
        storage.bucket("archive")
        names = [f"{number:03}.jpg" for number in range(240)]
        for number, name in enumerate(names):
            storage.put("archive", name, pictures[number % len(pictures)])
            if number % 5 == 0:
                fault = PASSING[number // 5 % len(PASSING)]
                storage.faults[name] = fault if isinstance(fault, list) else [fault]
        broken = {}
        for kind, (fault, stage, code) in LASTING.items():
            for number in range(2):
                name = f"{kind}-{number}.jpg"
                broken[f"gs://archive/{name}"] = (stage, code)
                if kind == "missing":
                    continue
                content = isinstance(fault, bytes) and not fault.startswith(b"HTTP")
                data = pictures[0][:4000] if fault == "torn" else fault if content else pictures[0]
                storage.put("archive", name, data)
                storage.faults[name] = [] if content or fault == "torn" else [fault] * 99
        broken |= dict.fromkeys(NO_URIS, ("fetch", "bad_uri"))
        uris = [f"gs://archive/{name}" for name in names] + list(broken)
        storage.put("archive", "list.txt", "\n".join([*uris, *uris[:30]]).encode())
        argv = ["--uris", "gs://archive/list.txt", "--output", "gs://archive/out", "--model", str(tmp_path / "model")]
        argv += ["--fetch_deadline", "600", "--max_bytes", "200000", "--shard_records", "50", "--max_failures", "5%"]
        with deadlines(600, ENDLESS):
            assert main(argv) == 3
        assert "33 of 273 images failed, more than --max_failures 5% allows" in capsys.readouterr().err

        (manifest_path,) = (
            match.path for match in FileSystems.match(["gs://archive/out/run=*/manifest.json"])[0].metadata_list
        )
        with FileSystems.open(manifest_path) as file:
            manifest = json.load(file)
        assert manifest["counts"] == {"input": 303, "captioned": 240, "failed": 33, "skipped": 0, "duplicates": 30}
        captions = read_lines("gs://archive/out/run=*/captions-*.jsonl")
        assert sorted(record["uri"] for record in captions) == sorted(uris[:240])
        failures = read_lines("gs://archive/out/run=*/failures-*.jsonl")
        assert {failure["uri"]: (failure["stage"], failure["error"]) for failure in failures} == broken
        assert sum(manifest["failures_by_code"].values()) == 33
        assert len(manifest["captions"]) >= 5
        # One request an object, where nothing was in its way.
        assert all(storage.requests[name] == 1 for number, name in enumerate(names) if number % 5)

        # The failures file is a list itself. What was down is up again.
        storage.faults.clear()
        argv[1] = f"{manifest_path.rpartition('/')[0]}/failures-*.jsonl"
        assert main(argv) == 0
        assert "33 images: 20 captioned, 13 failed (13 known), 0 skipped" in capsys.readouterr().err

        # The whole bucket by a glob: everything good is captioned by now.
        argv[:2] = ["--images", "gs://archive/*[0-9].jpg"]
        assert main(argv) == 0
        assert "268 images: 0 captioned, 8 failed (8 known), 260 skipped, 0 duplicates" in capsys.readouterr().err
