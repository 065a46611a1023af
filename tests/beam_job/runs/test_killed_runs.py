"""Jobs that are killed at random moments and started again: nothing is lost, and little is done twice."""

import json
import random
import signal
import time
from collections import Counter

import pytest

from tests.processes import many_photos, records, start
from tests.tiny_model import write_tiny_model

BATCH, SHARD = 4, 10


def lines(log):
    return log.read_text().splitlines() if log.exists() else []


def kill_loop(tmp_path, kills, images, seconds_per_image):
    """Kills a job ``kills`` times, then lets it end. Returns the times that each image was captioned."""
    dice = random.Random(kills)
    write_tiny_model(tmp_path / "model")
    uris = set(map(str, many_photos(tmp_path / "photos", images)))
    output, log = tmp_path / "out", tmp_path / "log"
    argv = ["--images", f"{tmp_path}/photos/*.jpg", "--output", str(output), "--model", str(tmp_path / "model")]
    argv += ["--batch_size", str(BATCH), "--shard_records", str(SHARD), "--shard_seconds", "1"]
    command = ["tests.recorded_job", log, seconds_per_image, *argv]
    for kill in range(kills):
        before, kept_before = len(lines(log)), len(records(output))
        left = images - kept_before
        # One in four is killed anywhere, while it starts or reads; the others while they caption. None ends before.
        wanted = min(dice.randint(1, 2 * images // kills), left - BATCH) if kill % 4 != 1 else 0
        with (tmp_path / "err").open("w") as err:
            job = start(*command, stderr=err, environment={"STAY_AFTER": str(left - 1)})
            while len(lines(log)) < before + wanted and job.poll() is None:
                time.sleep(0.02)
            time.sleep(dice.uniform(0, 0.2 if wanted else 4))
            job.send_signal(signal.SIGKILL)
            assert job.wait() == -signal.SIGKILL, (tmp_path / "err").read_text()
        done, kept = len(lines(log)) - before, len(records(output)) - kept_before
        assert done - SHARD - BATCH < kept <= done + BATCH  # what is written down may be behind by a batch
    last = start(*command)
    _, err = last.communicate()
    assert last.returncode == 0, err

    assert Counter(record["uri"] for record in records(output)) == dict.fromkeys(uris, 1)
    manifests = list(output.glob("run=*/manifest.json"))
    counts = [json.loads(path.read_text())["counts"] for path in manifests]
    assert all(count["input"] == images for count in counts)
    assert counts[-1]["captioned"] + counts[-1]["skipped"] == images
    times = Counter(lines(log))
    assert set(times) == uris
    assert sum(times.values()) <= images + kills * (SHARD + BATCH)
    return times


def test_two_kills(tmp_path):
    kill_loop(tmp_path, kills=2, images=40, seconds_per_image=0.05)


@pytest.mark.slow
def test_twenty_kills_over_300_images(tmp_path):
    times = kill_loop(tmp_path, kills=20, images=300, seconds_per_image=0.05)
    print(f"20 kills, 300 images: {sum(times.values())} captioned, an image {max(times.values())} times at most")
