"""Ctrl-C and SIGTERM: one sentence, the right status, and every record that was counted on the disk."""

import os
import pty
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from tests.cloud import BUCKET, storage_emulator
from tests.processes import ROOT, many_photos, records, start, wait_for, without_progress
from tests.tiny_model import write_tiny_model

STOPPED = "beam_job: stopped: the captions so far are kept, and the same command resumes.\n"


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Options of a job over twelve photos, in batches of four."""
    folder = tmp_path_factory.mktemp("job")
    write_tiny_model(folder / "model")
    many_photos(folder / "photos", 12)
    return ["--images", f"{folder}/photos/*.jpg", "--model", folder / "model", "--batch_size", "4"]


PHASES = {  # captions on the disk after the job was stopped there
    "import": 0,
    "check": 0,
    "model": 0,
    "captioning": 4,
    "writing": 4,
    "report": 12,
}


def test_every_phase_can_be_stopped(job, tmp_path):
    processes = {}
    for number, phase in enumerate(PHASES):
        argv = [*job, "--output", tmp_path / phase, "--report", "--shard_records", 4 if phase == "writing" else 99]
        process = start("tests.odd_job", tmp_path / f"{phase}.marker", phase, *argv)
        processes[phase] = process, (signal.SIGINT, signal.SIGTERM)[number % 2]
    for phase, (process, number) in processes.items():
        wait_for(tmp_path / f"{phase}.marker", process)
        process.send_signal(number)
    for phase, (process, number) in processes.items():
        out, err = process.communicate(timeout=600)
        err = without_progress(err)
        summary = "12 images: 12 captioned" if phase == "report" else ""
        assert (process.returncode, out) == (128 + number, ""), (phase, err)
        assert err.endswith(STOPPED), (phase, err)
        assert err.removesuffix(STOPPED).startswith(summary), (phase, err)
        assert err.count("\n") == 1 + bool(summary), (phase, err)
        kept = len(records(tmp_path / phase))
        assert kept == PHASES[phase] or (phase == "writing" and kept > PHASES[phase]), phase  # or a bit further
        assert len(list((tmp_path / phase).glob("run=*/manifest.json"))) == (phase == "report"), phase
        assert not list((tmp_path / phase).glob("run=*/*.tmp")), phase
    again = start("tests.odd_job", tmp_path / "none", "none", *job, "--output", tmp_path / "captioning")
    _, err = again.communicate()
    assert "12 images: 8 captioned, 0 failed, 4 skipped" in err


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    """While a file cannot be written, a step that hangs here, the first one waits two seconds for it."""
    code = (
        "import time; from pathlib import Path; from beam_job.terminal import signals; signals.listen('stopped.');\n"
        f"signals.on_stop(lambda: (Path({str(tmp_path / 'stopping')!r}).touch(), time.sleep(600)))\n"
        f"signals.SECONDS = 600; Path({str(tmp_path / 'ready')!r}).touch(); time.sleep(600)"
    )
    process = _python(code)
    wait_for(tmp_path / "ready", process)
    process.send_signal(signal.SIGINT)
    wait_for(tmp_path / "stopping", process)
    while process.poll() is None:  # until it is told from the first one, which may arrive twice
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert process.returncode == 130


def test_what_cannot_be_finished_in_time_is_told():
    """Any step may hang, and not every step writes captions."""
    code = (
        "import os, time, signal; from beam_job.terminal import signals\n"
        "signals.SECONDS = 5.0; signals.listen('stopped.')\n"
        "def fail(): raise OSError('the disk is full\\n')\n"
        "signals.on_stop(fail); signals.on_stop(lambda: time.sleep(600))\n"
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)"
    )
    _, err = _python(code).communicate()
    assert err.splitlines() == [
        "beam_job: stopped.",
        "beam_job: the disk is full\\n",
        "beam_job: not everything could be finished within 5 s: captions may be missing.",
    ]


def test_signals_that_are_ignored_stay_ignored():
    code = (
        "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from beam_job.terminal import signals; signals.listen('stopped.')\n"
        "os.kill(os.getpid(), signal.SIGHUP); print('on')"
    )
    process = _python(code)
    assert (process.communicate()[0], process.returncode) == ("on\n", 0)


def test_child_processes_end_with_the_job(tmp_path):
    """Those that ignore signals as well; a forked one that is told to end does not stop the job."""
    code = (
        "import multiprocessing, os, signal, subprocess, sys, time; from beam_job.terminal import signals\n"
        "signals.SECONDS = 0.5; signals.listen('stopped.')\n"
        "forked = multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,)); forked.start()\n"
        "forked.terminate(); forked.join(); assert forked.exitcode == -signal.SIGTERM\n"
        "child = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "ignore = lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(subprocess.Popen(child).pid, flush=True)\n"
        "print(subprocess.Popen(child, start_new_session=True).pid, flush=True)\n"
        "print(subprocess.Popen(child, preexec_fn=ignore).pid, flush=True); time.sleep(600)"
    )
    process = _python(code)
    children = [psutil.Process(int(process.stdout.readline())) for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    end(children)


def end(processes):
    """Waits until all have ended; they may have been killed a moment ago."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            while process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)


def test_a_library_leaves_signals_alone():
    code = (
        "import signal; before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]\n"
        "import beam_job.cli\n"
        "assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]\n"
        "assert signal.set_wakeup_fd(-1) == -1"
    )
    process = _python(code)
    assert process.wait() == 0, process.communicate()


def _python(code):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture
def remote_model(job):
    with storage_emulator() as client:
        folder = job[job.index("--model") + 1]
        for path in folder.iterdir():
            client.bucket(BUCKET).blob(f"model/{path.name}").upload_from_filename(path)
        yield f"gs://{BUCKET}/model"


def test_worker_processes_write_what_they_hold(job, remote_model, tmp_path):
    """The whole group gets the signal, as from a terminal; a worker has captioned one batch and is at the next.

    Each process has a copy of the model, and leaves none.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import logging\nlogging.getLogger('google.auth').setLevel('ERROR')\n"  # it misses credentials
        "from pathlib import Path\nfrom tests.odd_job import OddCaptioner, signals, stand_in\nsignals.SECONDS = 60.0\n"
        f"OddCaptioner.marker, OddCaptioner.event = Path({str(tmp_path / 'marker')!r}), 'captioning'\n"
        "stand_in(OddCaptioner)\n"
    )
    argv = [*job, "--model", remote_model, "--no_auth", "--output", tmp_path]
    argv += ["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "TMPDIR": str(temporary), "NO_GCE_CHECK": "true"}
    process = start("beam_job", *argv, environment=environment, start_new_session=True)
    wait_for(tmp_path / "marker", process)
    assert len(list(temporary.glob("caption-model-*"))) >= 2  # the job's, and that worker's
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    assert (process.wait(), without_progress(process.stderr.read())) == (130, STOPPED)
    assert len(records(tmp_path)) in (4, 8)
    assert len(children) >= 3  # the filter, two workers, decoders
    end(children)
    assert not list(temporary.glob("caption-model-*"))


@pytest.mark.slow
def test_forty_signals_over_300_photos(tmp_path):
    """At random moments, from when the program is there: before, Python itself is being started."""
    dice = random.Random(40)
    write_tiny_model(tmp_path / "model")
    uris = many_photos(tmp_path / "photos", 300)
    output, log = tmp_path / "out", tmp_path / "log"
    argv = [log, 0.1, "--images", f"{tmp_path}/photos/*.jpg", "--model", tmp_path / "model", "--output", output]
    argv += ["--batch_size", "4", "--shard_records", "10"]
    latest = []
    for number in [signal.SIGINT, signal.SIGTERM] * 20:
        kept, captioned = len(records(output)), len(log.read_text().splitlines()) if log.exists() else 0
        ours, theirs = pty.openpty()
        process = start("tests.recorded_job", *argv, stderr=theirs, environment={"TERM": "xterm", "COLUMNS": "100"})
        os.close(theirs)
        shown = Output(ours)
        if number == signal.SIGINT or dice.random() < 0.5:
            while not shown.captioned() and process.poll() is None:
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.5))
        else:
            time.sleep(dice.uniform(0.3, 3))
        process.send_signal(number)
        at = time.monotonic()
        status = process.wait()
        latest.append(time.monotonic() - at)
        text = shown.wait()
        assert status == 128 + number, text
        assert "Traceback" not in text
        assert text.endswith(STOPPED.replace("\n", "\r\n"))
        now = len(records(output)) - kept
        assert now >= shown.captioned()
        assert (
            now >= len(log.read_text().splitlines()) - captioned - 4 if log.exists() else not now
        )  # the batch in work
    last = start("tests.recorded_job", *argv)
    assert last.communicate()[1].count("300 images: ") == 1
    assert last.returncode == 0
    assert Counter(record["uri"] for record in records(output)) == dict.fromkeys(map(str, uris), 1)
    print(f"{len(latest)} signals; from the signal to the end {max(latest):.2f} s at most")


class Output:
    """What appears on a terminal, read in a thread until its other end is closed."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            try:
                self._text += os.read(self._descriptor, 1 << 16).decode()
            except OSError:  # how Linux says that it is closed
                os.close(self._descriptor)
                return

    def captioned(self):
        """The number that the progress line showed last."""
        return int((re.findall(r"(\d+) of \d+ captioned", self._text) or ["0"])[-1])

    def wait(self):
        self._thread.join()
        return self._text
