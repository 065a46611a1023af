"""The same photos and model through each program, in turns: the whole command, and images a second in steady state.

Each program runs in a process of its own. The whole command is from its start to its exit.
"""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from beam_job.messages.invocation import pip_install
from beam_job.model.directory import OpenModel
from benchmarks.figures.measurement import Measurement, seconds
from benchmarks.parts.peers.batch_ends import read_ends, steady_rate
from benchmarks.parts.peers.captions import read_captions
from benchmarks.parts.peers.task import Task


@dataclass(frozen=True)
class Program:
    """A program that captions photos.

    Attributes:
      name: its name on the page.
      module: what Python runs.
      files: a glob for its files of captions, in its output folder.
    """

    name: str
    module: str
    files: str


RAY = Program("Ray Data", "benchmarks.parts.peers.ray_data", "*.json")
RAY_BLOCKS = Program("Ray Data, blocks of one batch", "benchmarks.parts.peers.ray_blocks", "*.json")
BY_HAND = Program("the hand-written program", "benchmarks.parts.peers.by_hand", "captions.jsonl")
JOB = Program("the job", "benchmarks.parts.peers.job", "*/captions-*.jsonl")
WHOLE, STEADY, CAPTIONS = "Peers: whole command", "Peers: steady state", "Peers: captions"
_GOALS = {(RAY, WHOLE): ">= 2", (RAY_BLOCKS, WHOLE): ">= 2", (BY_HAND, STEADY): ">= 0.95"}


def programs() -> list[Program]:
    """What can be compared here. Says on standard error how to install Ray where it is missing."""
    if importlib.util.find_spec("ray") is not None:
        return [RAY, RAY_BLOCKS, BY_HAND, JOB]
    print(f"peers: Ray Data is left out, as it is not installed: {pip_install('ray[data]')}", file=sys.stderr)
    return [BY_HAND, JOB]


def measure(
    folder: Path, model: OpenModel, photos: Sequence[Path], batch_size: int, rounds: int
) -> Iterator[Measurement]:
    """Runs all rounds; ``folder`` is for lists and captions. There have to be at least four batches of photos."""
    compared = programs()
    listed = folder / "photos.txt"
    listed.write_text("".join(f"{path}\n" for path in photos))
    whole: dict[Program, list[float]] = {program: [] for program in compared}  # seconds
    steady: dict[Program, list[float]] = {program: [] for program in compared}  # images a second
    captions: dict[Program, dict[str, str]] = {}
    for turn in range(rounds):
        for program in compared:
            place = folder / f"{program.module} {turn}"
            place.mkdir()
            image = model.manifest.image
            task = Task(
                listed, place / "out", place / "ends", Path(model.directory), image.height, image.width, batch_size
            )
            whole[program].append(_run(program, task, place / "said"))
            steady[program].append(steady_rate(read_ends(task.ends)))
            captions[program] = read_captions(task.output, program.files)
            if captions[program].keys() != set(task.paths()):
                raise RuntimeError(f"{program.name} captioned {len(captions[program])} of {len(photos)} photos.")
    yield from compare(whole, steady)
    for program in compared[:-1]:
        same = sum(captions[program][uri] == caption for uri, caption in captions[JOB].items())
        yield Measurement(CAPTIONS, f"{program.name}: share that the job gives, too", "", [same / len(photos)])


def _run(program: Program, task: Task, said: Path) -> float:
    """Seconds of the whole command. ``said`` is a file for its messages: Ray's servers might hold a pipe open."""
    command = [sys.executable, "-m", program.module, *task.to_arguments()]

    def run() -> None:
        with said.open("wb") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)

    try:
        return seconds(time.perf_counter, run)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{program.name} failed: {said.read_text(errors='replace')}") from error


def compare(whole: dict[Program, list[float]], steady: dict[Program, list[float]]) -> Iterator[Measurement]:
    """All times and rates, and how they compare with the job's: ratios above 1 are in the job's favour."""
    took = {program: Measurement(WHOLE, program.name, "s", samples) for program, samples in whole.items()}
    rates = {program: Measurement(STEADY, program.name, "images/s", samples) for program, samples in steady.items()}
    yield from took.values()
    yield from rates.values()
    peers = [program for program in whole if program is not JOB]
    for peer in peers:
        yield took[peer].over(took[JOB], f"{WHOLE}, ratios of times", _GOALS.get((peer, WHOLE), ""))
    for peer in peers:
        yield rates[JOB].over(rates[peer], f"{STEADY}, ratios of images/s", _GOALS.get((peer, STEADY), ""))
