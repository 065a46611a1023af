"""Ctrl-C, SIGTERM and kills during exports: nothing is half written, and the next export completes and tidies up."""

import random
import signal
import time
from pathlib import Path

import pytest

from beam_job.export.command import main
from tests.beam_job.export.archive import counts, last_counts, run_of
from tests.processes import start, wait_for

STOPPED = "beam_job: stopped: all written files are complete, and the same command resumes.\n"
MOMENTS = {
    "import": ("xmp", signal.SIGINT),
    "sidecars": ("xmp", signal.SIGTERM),
    "rows": ("csv", signal.SIGINT),
    "publishing": ("parquet", signal.SIGTERM),
}


def archive(folder, number):
    """Photos and their captions; returns the captions' folder."""
    (folder / "photos").mkdir(parents=True)
    photos = [folder / "photos" / f"{index:03}.jpg" for index in range(number)]
    for photo in photos:
        photo.touch()
    return run_of(folder / "captions", [{"uri": str(photo), "caption": f"Photo {photo.name}."} for photo in photos])


def files(folder):
    """The bytes of all files but those of runs, and of what each export leaves for good."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and not path.match("captions/run=*/*")
        and not (path.match("captions/exports/*/*") and path.name in ("manifest.json", "table.json"))
    }


def export(captions, kind):
    assert main([str(captions), "--to", kind, "--runner", "DirectRunner"]) == 0
    return last_counts(captions)


def test_an_export_can_be_stopped_at_any_moment(tmp_path):
    processes = {}
    for moment, (kind, _) in MOMENTS.items():
        captions = archive(tmp_path / moment, 20)
        argv = [tmp_path / f"{moment}.marker", moment, captions, "--to", kind, "--runner", "DirectRunner"]
        processes[moment] = start("tests.odd_export", *argv)
    for moment, process in processes.items():
        wait_for(tmp_path / f"{moment}.marker", process)
        process.send_signal(MOMENTS[moment][1])
    for moment, process in processes.items():
        out, err = process.communicate()
        assert (process.returncode, out, err) == (128 + MOMENTS[moment][1], "", STOPPED), moment
    for moment in ("sidecars", "rows", "publishing"):
        kind, folder = MOMENTS[moment][0], tmp_path / moment
        left = files(folder)
        assert f"captions/captions.{kind}" not in left
        assert any(Path(name).suffix in (".tmp", ".jsonl") for name in left), "something unfinished is there"
        found = export(folder / "captions", kind)
        assert found["written"] + found["unchanged"] == 20
        assert (found["unchanged"] >= 2) == (moment == "sidecars")
        now = files(folder)
        assert len(now) == (40 if kind == "xmp" else 21), "nothing unfinished is there any more"
        assert all(now[name] == data for name, data in left.items() if name.endswith(".xmp")), "they were whole"


@pytest.mark.slow
def test_signals_and_kills_at_random_moments(tmp_path):
    """From when the export has its folder: before, Python itself is being started."""
    dice = random.Random(25)
    captions = archive(tmp_path, 500)
    statuses = []
    for number in [signal.SIGINT, signal.SIGTERM, signal.SIGKILL] * 2:
        for kind in ("xmp", "csv", "parquet"):
            earlier = set(captions.glob("exports/*"))
            process = start("beam_job.export", captions, "--to", kind, "--runner", "DirectRunner")
            while set(captions.glob("exports/*")) == earlier and process.poll() is None:
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 1.5))
            process.send_signal(number)
            _, err = process.communicate()
            assert process.returncode in (0, -number if number == signal.SIGKILL else 128 + number), err
            assert process.returncode <= 0 or err.endswith(STOPPED), err
            assert "Traceback" not in err
            statuses.append(process.returncode)
            for path in (tmp_path / "photos").glob("*.xmp"):
                assert path.read_bytes().endswith(b'<?xpacket end="w"?>\n')
        if number == signal.SIGKILL:
            assert main([str(captions), "--to", "xmp", "--undo", "--runner", "DirectRunner"]) == 0
            for kind in ("csv", "parquet"):
                Path(captions / f"captions.{kind}").unlink(missing_ok=True)
            left = [name for name in files(tmp_path) if not name.startswith("captions/.captioner-")]
            assert {Path(name).suffix for name in left} == {".jpg"}, "nothing unfinished is left"
    print(f"{len(statuses)} exports, {sum(status != 0 for status in statuses)} of them stopped")
    for kind in ("xmp", "csv", "parquet"):
        assert export(captions, kind)["failed"] == 0
        assert export(captions, kind) == counts(unchanged=500)
    names = set(files(tmp_path))
    assert names == {
        *(f"photos/{index:03}.jpg{suffix}" for index in range(500) for suffix in ("", ".xmp")),
        "captions/captions.csv",
        "captions/captions.parquet",
    }
