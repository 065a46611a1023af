"""Time and memory of URIs on DirectRunner, whatever their images cost.

    python -m benchmarks.uris                            # 1,000,000: half captioned before, the rest listed twice
    python -m benchmarks.uris --uris 100000 --new 100000 # all new: each goes through fetching, and becomes a failure
    python -m benchmarks.uris --uris 200000 --attention  # captioned with attention maps: records of 7 kB, not 0.6
    python -m benchmarks.uris --quiet list --uris 100000 300000  # a night with nothing new, whose versions are compared
    python -m benchmarks.uris --quiet glob --uris 100000 300000  # the same over files

Prints seconds of CPU, peak memory, and microseconds and bytes for each URI. No image is decoded: new URIs name nothing.
On a quiet night thirty runs have captioned all that is listed.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL
from beam_job.model.manifest import read_manifest
from beam_job.records import Caption, CaptionRecord, Content

FEW = 100
PER_FILE = 10_000
NIGHTS = 30
LINKS = 10_000  # names of one file: file systems bound them
DIGEST = "0" * 64  # stands where each record has its own


def main() -> None:
    """Makes an archive that is nearly all captioned, and runs the job over it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uris", type=int, nargs="+", default=[1_000_000], help="How many; each in turn if several.")
    parser.add_argument("--quiet", choices=("list", "glob"), help="A night with nothing new, with versions to compare.")
    parser.add_argument("--new", type=int, default=FEW, help="How many of them were never listed nor captioned.")
    parser.add_argument("--attention", action="store_true", help="What was captioned before has attention maps.")
    parser.add_argument("--model", default=str(DEFAULT_MODEL), help="An exported model; none of it runs.")
    options = parser.parse_args()
    before: tuple[int, Used] | None = None
    for uris in [FEW, *options.uris]:
        with tempfile.TemporaryDirectory() as folder:
            if options.quiet:
                used = _quiet(Path(folder), uris, options.quiet, options.model, options.attention)
            else:
                used = _mixed(Path(folder), uris, min(uris, options.new), options.model, options.attention)
        print(f"{uris:,} URIs: {used.seconds:.1f} s of CPU, {used.megabytes:,.0f} MiB at most, {used.counts}")
        if before is not None:
            more = uris - before[0]
            microseconds = (used.seconds - before[1].seconds) / more * 1e6
            size = (used.megabytes - before[1].megabytes) * 2**20 / more
            print(f"  each of the {more:,} more: {microseconds:.1f} µs, {size:,.0f} bytes")
        before = uris, used


class Used(NamedTuple):
    """What a run took: seconds of CPU, MiB at most, and its counts."""

    seconds: float
    megabytes: float
    counts: dict[str, int]


def _quiet(folder: Path, known: int, source: str, model: str, attention: bool) -> Used:
    """A run over URIs that thirty runs before it have captioned, all in the version that is listed."""
    photos = folder / "photos"
    photos.mkdir()
    names = [f"{photos}/{number:012}.jpg" for number in range(known)]
    version = "1-2"
    if source == "glob":
        for number, name in enumerate(names):
            if number % LINKS == 0:
                first = name
                Path(name).write_bytes(b"never read")
                os.utime(name, (1_700_000_000, 1_700_000_000))
                version = f"{len(b'never read')}-{1_700_000_000 * 10**9}"
            else:
                os.link(first, name)
        argv = ["--images", f"{photos}/*.jpg"]
    else:
        with (folder / "list.jsonl").open("w") as file:
            file.writelines(json.dumps({"uri": name, "version": version}) + "\n" for name in names)
        argv = ["--uris", str(folder / "list.jsonl"), "--version_field", "version"]
    for night in range(NIGHTS):
        _pretend_captioned(folder / "out" / f"run={night:02}", names[night::NIGHTS], model, attention, version)
    return _job(folder, model, argv)


def _mixed(folder: Path, uris: int, new: int, model: str, attention: bool) -> Used:
    """A run over URIs of which some are new; of the others half are captioned, and these are listed twice."""
    captioned = (uris - new) // 2
    names = [f"/nowhere/a-photo-archive/of-{uris}/{number:012}.jpg" for number in range(captioned + new)]
    _pretend_captioned(folder / "out" / "run=before", names[:captioned], model, attention)
    with (folder / "list.txt").open("w") as file:
        file.writelines(f"{name}\n" for name in [*names, *names[:captioned]])
    return _job(folder, model, ["--uris", str(folder / "list.txt")])


def _job(folder: Path, model: str, argv: Sequence[str]) -> Used:
    """Runs the job in a process of its own, with what stands in ``folder / "out"`` for earlier runs."""
    argv = [*argv, "--output", str(folder / "out"), "--model", model, "--runner", "DirectRunner"]
    code = "import resource, sys; from beam_job.cli import main; code = main(sys.argv[1:]); "
    code += "used = resource.getrusage(resource.RUSAGE_SELF); "
    code += "print(used.ru_utime + used.ru_stime, used.ru_maxrss); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code, *argv], check=True, stdout=subprocess.PIPE, text=True)
    seconds, kilobytes = map(float, done.stdout.split()[-2:])
    (manifest,) = (folder / "out").glob("run=*/manifest.json")
    counts = json.loads(manifest.read_text())["counts"]
    return Used(seconds, kilobytes / 1024, counts)


def _pretend_captioned(
    folder: Path, names: list[str], model: str, attention: bool, version: str = "123456-1700000000000000000"
) -> None:
    """Files as a killed run leaves them, with records of the usual size."""
    folder.mkdir(parents=True)
    fingerprint = read_manifest(model).fingerprint
    started = {"id": "before", "model": fingerprint, "options": {"decoding": asdict(Decoding())}}
    (folder / "run.json").write_text(json.dumps(started))
    text = "A brown dog runs through the tall grass with a red ball."
    content = Content(123_456, DIGEST, "0" * 16, version)
    tokens = text.lower()[:-1].split()
    maps = [[0.0123] * 64] * 13 if attention else None
    caption = Caption(text, tokens, -0.9, -2.0, True, attention=maps)
    line = CaptionRecord("{}", 640, 480, fingerprint, "CPU", [caption], content=content).to_json("before")
    before, after = line.split("{}", 1)
    middle, after = after.split(DIGEST)
    for start in range(0, len(names), PER_FILE):
        with (folder / f"captions-{start}.jsonl").open("w") as file:
            for name in names[start : start + PER_FILE]:
                file.write(f"{before}{name}{middle}{hashlib.sha256(name.encode()).hexdigest()}{after}\n")


if __name__ == "__main__":
    main()
