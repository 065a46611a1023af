"""The simulated archive in short: what a thousand photos, five nights and small bundles cost, in counts."""

import json
import math
import signal
import sys
from collections import Counter
from functools import partial

import pytest
from google.auth.transport.requests import AuthorizedSession

from beam_job.images.fetch import FetchLimits
from benchmarks.archive.__main__ import main
from benchmarks.archive.books import books
from benchmarks.archive.job import caption
from benchmarks.archive.observed import WORKER, observe
from benchmarks.archive.plots import memory, plot
from benchmarks.archive.simulated.bucket import bucket
from benchmarks.archive.simulated.photos import BROKEN, MISSING, UNAVAILABLE, Faults, Seeds, expected, link, name_of

FAULTS = Faults(broken=0.02, missing=0.02, unavailable=0.05)
NIGHTS = [600, 700, 800, 900, 1000]
OUTPUT = "gs://output/out"
IDLE = "import signal\nsignal.pause()"
BUSY = "import time\nwhile time.process_time() < 1: pass\nprint('busy', flush=True)\n" + IDLE
TWO_WORKERS = """
import signal, subprocess, sys
busy, idle = (subprocess.Popen([sys.executable, "-c", code, "sdk_worker"]) for code in (sys.argv[1], sys.argv[2]))
if sys.argv[3] == "fails":
    busy.wait()
    print("idle goes on" if idle.poll() is None else "both have ended")
    idle.kill()
    sys.exit(1)
signal.pause()
"""
ZOMBIE = """
import os, signal
child = os.fork() or os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
print("there", flush=True)
signal.pause()
"""
PATIENT = ["--fetch_deadline=600", "--decode_deadline=600"]  # a busy machine changes no count
LATE = {"timeout": 600}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    return folder, Seeds.make(folder, 20)


def test_photos_depend_on_their_number_alone(seeds, tmp_path):
    _, made = seeds
    link(tmp_path, made, FAULTS, range(30))
    link(tmp_path, made, FAULTS, range(30, 200))
    faults = Counter(map(FAULTS.of, range(200)))
    assert expected(200, FAULTS) == {kind: faults[kind] for kind in (BROKEN, MISSING, UNAVAILABLE)}
    assert all(faults[kind] for kind in (BROKEN, MISSING, UNAVAILABLE))
    assert len(list(tmp_path.rglob("*.jpg"))) == 200 - faults[MISSING]
    there = [number for number in range(200) if (tmp_path / name_of(number)).exists()]
    assert all(FAULTS.of(number) != MISSING for number in there)
    whole = (tmp_path / name_of(there[0])).stat().st_ino
    assert whole in {path.stat().st_ino for path in made.whole}  # a link costs no space


@pytest.fixture
def patient_clients(monkeypatch):
    """As ``PATIENT``: clients of Cloud Storage repeat a request after a minute, and the bucket would count two."""
    request = AuthorizedSession.request
    monkeypatch.setattr(AuthorizedSession, "request", lambda *given, **named: request(*given, **{**named, **LATE}))
    monkeypatch.setattr("beam_job.listing.bucket.FetchLimits", partial(FetchLimits, seconds=LATE["timeout"]))


@pytest.mark.usefixtures("patient_clients")
def test_five_nights_over_a_bucket_that_grows(seeds):
    """Each night costs what is new, what failed before, one listing, and a bounded number of requests for each run."""
    asked, read, found = [], [], []
    with bucket(seeds[0], FAULTS, 0) as served:
        for size in [*NIGHTS, NIGHTS[-1]]:
            served.resize(size)
            before, read_before = Counter(served.counts()), Counter(served.reads())
            argv = ["--images", "gs://archive/**.jpg", "--output", OUTPUT, "--runner=DirectRunner", *PATIENT]
            assert caption(0, 0, argv) == 0
            asked.append(Counter(served.counts()) - before)
            read.append(Counter(served.reads()) - read_before)
            found.append(books(OUTPUT))
    for night, (size, earlier) in enumerate(zip([*NIGHTS, NIGHTS[-1]], [0, *NIGHTS], strict=True)):
        faults, old = (expected(count, FAULTS) for count in (size, earlier))
        new = size - earlier - (faults[MISSING] - old[MISSING])
        counts = found[night]["counts"]
        assert counts["input"] == size - faults[MISSING]
        assert counts["failed"] == faults[BROKEN]
        assert counts["captioned"] == new - (faults[BROKEN] - old[BROKEN])
        assert counts["input"] == sum(counts.values()) - counts["input"]
        assert asked[night]["photos"] == new + faults[UNAVAILABLE] - old[UNAVAILABLE] + old[BROKEN]
        assert asked[night]["listings"] == 2  # one is the check before the start
        assert found[night]["captions"]["files"] <= min(night + 1, len(NIGHTS))  # one of each night with something new
        assert found[night]["captions"]["others"] == found[night]["failures"]["others"] == 0
    assert all(set(reads.values()) == {1} for reads in read)  # what earlier runs wrote is read once a night
    earlier_files = [found[night]["captions"]["files"] + found[night]["failures"]["files"] for night in range(5)]
    assert all(len(reads) >= files for reads, files in zip(read[1:], earlier_files, strict=True))
    listing, records = asked[-1]["bytes"], found[-1]["captions"]["bytes"] + found[-1]["failures"]["bytes"]
    assert listing < 2 * records + 200 * NIGHTS[-1]


@pytest.mark.parametrize("then", ["fails", "goes on"])
def test_a_kill_hits_the_worker_that_has_worked_most(tmp_path, then):
    log = tmp_path / "log"
    command = [sys.executable, "-c", TWO_WORKERS, BUSY, IDLE, then]
    patience = 600 if then == "fails" else 0
    used = observe(command, log, kill=WORKER, kill_when=lambda: "busy" in log.read_text(), patience=patience)
    if then == "fails":
        assert (used.killed, used.status) == ("worker", 1)
        assert "idle goes on" in log.read_text()
    else:  # a run that does not miss its worker would never end
        assert (used.killed, used.status) == ("worker, job", -signal.SIGKILL)


def test_a_process_that_is_only_seen_after_its_end_has_no_figures(tmp_path):
    log, looks = tmp_path / "log", []

    def looked_at() -> bool:
        """Whether there was a look at the processes after the child had ended."""
        looks.extend(["there"] * ("there" in log.read_text()))
        return len(looks) == 2

    used = observe([sys.executable, "-c", ZOMBIE], log, kill_when=looked_at)
    assert used.status == -signal.SIGKILL
    assert all(process.role and process.memory for process in used.processes)


def test_a_process_without_memory_has_no_line():
    processes = [
        {"role": "job", "mebibytes": [(0.0, 50.0), (1.0, 60.0)]},
        {"role": "worker", "mebibytes": [(1.0, 0.0)]},
    ]
    figures = {"wall_seconds": 1.5, "memory": [*processes, {"role": "decoder", "mebibytes": []}]}
    lines = memory([{"size": 1, "figures": figures}])
    assert list(lines) == ["job"]
    assert "polyline" in plot("Memory", "seconds", "MiB", lines)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kill", "engine"], "--kill engine: --engine direct has no process of its own"),
        (["--kill", "job", "engine", "--workers", "2"], "--kill engine: --engine direct has no process of its own"),
        (["--kill", "worker"], "--kill worker: with --engine direct and --workers 1 the job itself does the work"),
        (["--kills", "3", "--where", "bucket"], "--kills 3: captions are counted on a disk only; drop --where bucket"),
    ],
)
def test_a_kill_that_would_never_come_is_refused(options, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        main(["manifest", "--images", "1", "--output", str(tmp_path / "figures"), *options])  # kills nothing itself
    assert refused.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "figures").exists()


def test_a_part_writes_its_figures(tmp_path, capsys):
    argv = ["bundles", "--images", "200", "--bundle", "7", "--output", str(tmp_path)]
    main([*argv, "--", "--shard_records=100"])
    assert "bundles: 200 images, bundles of 7:" in capsys.readouterr().out
    told = json.loads((tmp_path / "bundles.json").read_text())
    assert told["facts"]["processor"]
    assert told["facts"]["command"].startswith("python -m benchmarks.archive bundles --images 200")
    first, second = (row["figures"] for row in told["rows"])
    faults = expected(200, Faults())
    assert first["books"]["counts"]["failed"] == faults[BROKEN] + faults[MISSING]
    assert first["books"]["captions"]["files"] <= 2 * math.ceil(first["books"]["counts"]["captioned"] / 100)
    assert first["books"]["captions"]["others"] == 0
    assert second["books"]["counts"]["skipped"] == first["books"]["counts"]["captioned"]
    for figures in (first, second):
        assert figures["processes"]["job"]["number"] == 1
        assert figures["processes"]["job"]["peak_mebibytes"] > 50
        assert figures["cpu_seconds"] >= figures["processes"]["job"]["cpu_seconds"] > 0
        assert figures["memory"][0]["role"] == "job"
        assert len(figures["memory"][0]["mebibytes"]) >= 1
    assert "<svg" in (tmp_path / "bundles.html").read_text()
