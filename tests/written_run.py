"""A run's files and records as the job writes them."""

import hashlib
import json
from pathlib import Path

from beam_job.records import Caption, CaptionRecord


def caption_record(uri="a.jpg", text="A dog.", score=-1.0, width=40, height=30, **fields):
    tokens = text.lower().rstrip(".").split()
    caption = Caption(text, tokens, score, score - 1, True, **fields)
    return CaptionRecord(uri, width, height, "f" * 64, "CPU", [caption])


def write_run(folder, captions, failures=(), name="run=20260102T030405Z-aaaaaa", **fields):
    """A run's files as the job writes them; ``captions`` may be a generator."""
    directory = Path(folder) / name
    directory.mkdir(parents=True)
    shards = {}
    for kind, records in (("captions", captions), ("failures", failures)):
        digest, count = hashlib.sha256(), 0
        with (directory / f"{kind}-1.jsonl").open("wb") as file:
            for record in records:
                line = (record.to_json() + "\n").encode("utf-8", "backslashreplace")
                digest.update(line)
                file.write(line)
                count += 1
        shards[kind] = [{"name": f"{kind}-1.jsonl", "records": count, "sha256": digest.hexdigest()}]
    counts = {"captioned": shards["captions"][0]["records"], "failed": shards["failures"][0]["records"]}
    about = {
        "id": name.removeprefix("run="),
        "model": "f" * 64,
        "options": {"batch_size": 32, "decoding": {"strategy": "greedy"}},
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:04:15+00:00",
        "seconds": 10.0,
        "counts": {"input": sum(counts.values()), **counts, "duplicates": 0},
        "devices": ["CPU"],
        **shards,
        **fields,
    }
    (directory / "manifest.json").write_text(json.dumps(about))
    return directory
