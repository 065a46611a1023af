"""Kills on each engine: a worker, the engine, or all of it; the next run ends what was begun."""

import json
import math

import pytest

from benchmarks.archive.__main__ import main
from benchmarks.archive.engine import DIRECT, FLINK, PRISM
from benchmarks.archive.observed import ENGINE, JOB, WORKER
from benchmarks.archive.simulated.photos import BROKEN, MISSING, Faults, expected
from tests.engines.processes import UnavailableError, flink_job_server, prism

IMAGES, SHARD = 600, 100
PATIENT = ["--fetch_deadline=600", "--decode_deadline=600"]  # a busy machine changes no count

ELSEWHERE = [
    pytest.param(engine, kill, marks=pytest.mark.engines) for engine in (PRISM, FLINK) for kill in (WORKER, ENGINE, JOB)
]


def fetch(engine):
    try:
        if engine != DIRECT:
            prism() if engine == PRISM else flink_job_server()
    except UnavailableError as error:
        pytest.skip(f"{engine} cannot be had: {error}")


@pytest.mark.parametrize(("engine", "kill"), [(DIRECT, JOB), *ELSEWHERE])
def test_what_was_durable_is_not_captioned_again(engine, kill, tmp_path):
    fetch(engine)
    argv = ["run", "--images", str(IMAGES), "--engine", engine, "--workers", "2", "--output", str(tmp_path)]
    main([*argv, "--kills", "1", "--kill", kill, "--bundle", "7", "--", f"--shard_records={SHARD}", *PATIENT])
    killed, last = (row["figures"] for row in json.loads((tmp_path / "run.json").read_text())["rows"])
    faults = expected(IMAGES, Faults())
    failed = faults[BROKEN] + faults[MISSING]
    good = IMAGES - failed

    assert killed["killed"] == kill
    assert not killed["books"]["finished"]
    assert killed["captioned"]["images"] >= good // 2
    assert killed["captioned"]["repeated"] == 0
    assert not last["killed"]
    counts = last["books"]["counts"]
    assert counts["skipped"] == killed["captioned"]["images"]
    assert counts == {
        **{"input": IMAGES, "captioned": good - counts["skipped"]},
        **{"failed": failed, "skipped": counts["skipped"], "duplicates": 0},
    }
    assert last["captioned"] == {"images": good, "repeated": 0}
    for kind, records in (("captions", counts["captioned"]), ("failures", failed)):
        assert last["books"][kind]["of_newest"] <= 2 * math.ceil(records / SHARD)
        assert last["books"][kind]["others"] <= killed["books"][kind]["others"]  # what was being written at the kill
