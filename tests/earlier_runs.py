"""Folders of earlier runs as the job leaves them, made by hand."""

import hashlib
import json
from dataclasses import asdict

from beam_job.model.decoding import Decoding

DECODING = asdict(Decoding())


def earlier_run(folder, *, model="m", decoding=DECODING, finished=True, captions=(), failures=(), **about):
    """Writes a run's folder: one file of captions of these URIs, one of these failures (URI, stage, error, more)."""
    folder.mkdir(parents=True)
    started = {
        "output": str(folder.parent),
        "model": model,
        "options": {"decoding": decoding},
        "started": "2026-01-02T03:04:05+00:00",
        "id": folder.name.removeprefix("run="),
    }
    (folder / "run.json").write_text(json.dumps(started))
    records = {
        "captions": [{"uri": uri, "caption": "A cat.", "score": -1.0} for uri in captions],
        "failures": [
            {"uri": uri, "stage": stage, "error": error, "message": "", **dict(*more)}
            for uri, stage, error, *more in failures
        ],
    }
    manifest = {**started, "counts": {"input": 1, "captioned": len(captions), "failed": len(failures)}}
    for kind, lines in records.items():
        data = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{kind}-1.jsonl").write_text(data)
        digest = hashlib.sha256(data.encode()).hexdigest()
        manifest[kind] = [{"name": f"{kind}-1.jsonl", "records": len(lines), "sha256": digest}]
    if finished:
        (folder / "manifest.json").write_text(json.dumps({**manifest, **about}))
    return folder
