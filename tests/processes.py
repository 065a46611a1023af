"""The job in processes of their own, with files that a test can look at."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.photos import photos

ROOT = Path(__file__).parents[1]


def many_photos(folder, images):
    """Copies of twenty photos under ``images`` names."""
    made = photos(folder.parent / f"{folder.name}-made", 20)
    folder.mkdir()
    return [shutil.copy(made[number % len(made)], folder / f"{number:03}.jpg") for number in range(images)]


def start(module, *argv, environment=None, python=sys.executable, **streams):
    """Starts ``python -m module``; a process started in the background would ignore Ctrl-C."""
    return subprocess.Popen(
        [python, "-m", module, *map(str, argv)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **streams},
    )


def wait_for(path, process):
    """Waits until the file is there, or the process has ended."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def without_progress(err: str) -> str:
    """What was said beside the progress, a line every ten seconds, that a slow machine sees."""
    return re.sub(
        r"^beam_job: (.* so far|[\d,]+ of [\d,]+ captioned.*|[\d,]+ captioned.*)\n", "", err, flags=re.MULTILINE
    )


def records(output, kind="captions"):
    """All records of the runs in ``output``."""
    return [json.loads(line) for path in output.glob(f"run=*/{kind}-*.jsonl") for line in path.open()]
