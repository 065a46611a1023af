"""Time and memory of URIs on DirectRunner, whatever their images cost.

    python -m benchmarks.uris                            # 1,000,000: half captioned before, the rest listed twice
    python -m benchmarks.uris --uris 100000 --new 100000 # all new: each goes through fetching, and becomes a failure
    python -m benchmarks.uris --uris 200000 --attention  # captioned with attention maps: records of 7 kB, not 0.6

Prints seconds of CPU, peak memory, and microseconds and bytes for each URI. No image is decoded: new URIs name nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL
from beam_job.model.manifest import read_manifest
from beam_job.records import Caption, CaptionRecord, Content

FEW = 100
PER_FILE = 10_000


def main() -> None:
    """Makes an archive that is nearly all captioned, and runs the job over it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uris", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=FEW, help="How many of them were never listed nor captioned.")
    parser.add_argument("--attention", action="store_true", help="What was captioned before has attention maps.")
    parser.add_argument("--model", default=str(DEFAULT_MODEL), help="An exported model; none of it runs.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        idle = _run(Path(folder) / "idle", FEW, FEW, options.model, options.attention)
        full = _run(Path(folder) / "full", options.uris, options.new, options.model, options.attention)
    for name, (seconds, megabytes, counts) in (("idle", idle), ("full", full)):
        print(f"{name}: {seconds:.1f} s of CPU, {megabytes:,.0f} MiB at most, {counts}")
    more = options.uris - FEW
    print(f"each URI: {(full[0] - idle[0]) / more * 1e6:.1f} µs, {(full[1] - idle[1]) * 2**20 / more:,.0f} bytes")


def _run(folder: Path, uris: int, new: int, model: str, attention: bool) -> tuple[float, float, dict[str, int]]:
    folder.mkdir()
    captioned = (uris - new) // 2
    names = [f"/nowhere/a-photo-archive/of-{uris}/{number:012}.jpg" for number in range(captioned + new)]
    _pretend_captioned(folder / "out" / "run=before", names[:captioned], model, attention)
    with (folder / "list.txt").open("w") as file:
        file.writelines(f"{name}\n" for name in [*names, *names[:captioned]])
    argv = ["--uris", folder / "list.txt", "--output", folder / "out", "--model", model, "--runner", "DirectRunner"]
    code = "import resource, sys; from beam_job.cli import main; code = main(sys.argv[1:]); "
    code += "used = resource.getrusage(resource.RUSAGE_SELF); "
    code += "print(used.ru_utime + used.ru_stime, used.ru_maxrss); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code, *map(str, argv)], check=True, stdout=subprocess.PIPE, text=True)
    seconds, kilobytes = map(float, done.stdout.split()[-2:])
    (manifest,) = (folder / "out").glob("run=*/manifest.json")
    counts = json.loads(manifest.read_text())["counts"]
    return seconds, kilobytes / 1024, counts


def _pretend_captioned(folder: Path, names: list[str], model: str, attention: bool) -> None:
    """Files as a killed run leaves them, with records of the usual size."""
    folder.mkdir(parents=True)
    fingerprint = read_manifest(model).fingerprint
    started = {"id": "before", "model": fingerprint, "options": {"decoding": asdict(Decoding())}}
    (folder / "run.json").write_text(json.dumps(started))
    text = "A brown dog runs through the tall grass with a red ball."
    content = Content(123_456, "0" * 64, "0" * 16, "123456-1700000000000000000")
    tokens = text.lower()[:-1].split()
    maps = [[0.0123] * 64] * 13 if attention else None
    caption = Caption(text, tokens, -0.9, -2.0, True, attention=maps)
    line = CaptionRecord("{}", 640, 480, fingerprint, "CPU", [caption], content=content).to_json("before")
    before, after = line.split("{}", 1)
    for start in range(0, len(names), PER_FILE):
        with (folder / f"captions-{start}.jsonl").open("w") as file:
            file.writelines(f"{before}{name}{after}\n" for name in names[start : start + PER_FILE])


if __name__ == "__main__":
    main()
