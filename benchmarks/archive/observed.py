"""A process and its descendants, observed while it runs: CPU time, and the memory of each process over time."""

import json
import math
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

JOB, WORKER, ENGINE = "job", "worker", "engine"

INTERVAL = 0.25  # seconds between two looks
PATIENCE = 60.0  # seconds that a run may go on after a kill
_MEBIBYTE = 2**20
_ROLES = (
    ("decoder_process", "decoder"),
    ("terminal.worker", WORKER),
    ("sdk_worker", WORKER),
    ("worker_pool", "pool"),
    ("java", ENGINE),
    ("prism", ENGINE),
)


@dataclass
class Process:
    """One process.

    Attributes:
      role: job, worker, decoder, engine, pool (which starts workers) or other.
      cpu: seconds, of all its threads.
      peak: most memory that was resident, in MiB.
      memory: pairs of seconds since the start and resident MiB.
    """

    role: str
    cpu: float = 0.0
    peak: float = 0.0
    memory: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class Observed:
    """What a process and its descendants used.

    Attributes:
      status: the exit status; negative for a signal.
      killed: the role of what was killed meanwhile; empty where nothing was; ``worker, job`` where the run went on.
      wall: seconds.
      read: bytes that the process itself read, from files and sockets, the program included.
      processes: the process first.
    """

    status: int
    killed: str
    wall: float
    read: int
    processes: list[Process]

    @property
    def cpu(self) -> float:
        """Seconds of CPU of all processes."""
        return sum(process.cpu for process in self.processes)

    @property
    def peak(self) -> float:
        """The most memory of the process itself, in MiB."""
        return self.processes[0].peak

    def to_json(self) -> dict[str, Any]:
        roles: dict[str, list[Process]] = {}
        for process in self.processes:
            roles.setdefault(process.role, []).append(process)
        return {
            "cpu_seconds": round(self.cpu, 2),
            "wall_seconds": round(self.wall, 2),
            "bytes_read": self.read,
            "killed": self.killed,
            "processes": {
                role: {"number": len(alike), "cpu_seconds": round(sum(each.cpu for each in alike), 2),
                       "peak_mebibytes": round(max(each.peak for each in alike), 1)}
                for role, alike in roles.items()
            },
            "memory": [{"role": each.role, "mebibytes": _thinned(each.memory)} for each in self.processes],
        }  # fmt: skip


def _thinned(memory: Sequence[tuple[float, float]], most: int = 200) -> list[tuple[float, float]]:
    """At most twice as many points as ``most``, evenly chosen."""
    return list(memory[:: max(1, len(memory) // most)])


def observe(
    command: Sequence[str],
    log: Path,
    *,
    watch: Iterable[int] = (),
    kill: str = JOB,
    kill_when: Callable[[], bool] | None = None,
    patience: float = PATIENCE,
) -> Observed:
    """Runs a command until it ends, its output in ``log``, and looks at its processes four times a second.

    Args:
      command: of ``benchmarks.archive.job``.
      log: takes standard output and standard error.
      watch: ids of further processes that are looked at with their descendants, as those of an engine.
      kill: what is killed: ``JOB``, which is all of these processes; else the one of that role that has worked most.
      kill_when: once it is true, that is killed with SIGKILL; at most once.
      patience: seconds after which a run that goes on without what was killed is killed altogether.
    """
    found: dict[psutil.Process, Process] = {}
    started = time.monotonic()
    with log.open("w") as out:
        running = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    roots = [psutil.Process(running.pid), *map(psutil.Process, watch)]
    before = {root: _cpu(root) for root in roots[1:]}
    killed, last = "", math.inf
    while running.poll() is None:
        for root in roots:
            _look(root, found, time.monotonic() - started)
        if not killed and kill_when is not None and kill_when():
            killed, last = _kill(roots, kill), time.monotonic() + patience
        elif killed and time.monotonic() > last:
            killed, last = f"{killed}, {_kill(roots, JOB)}", math.inf
        with suppress(subprocess.TimeoutExpired):
            running.wait(INTERVAL)
    own = found.setdefault(roots[0], Process(JOB))
    own.role = JOB
    read = 0
    with suppress(ValueError, IndexError, KeyError):  # a process that was killed says nothing
        told = json.loads(log.read_text().splitlines()[-1])
        own.cpu, own.peak, read = told["cpu"], told["peak"] / _MEBIBYTE, told["read"]
    for root, cpu in before.items():
        if root in found:
            found[root].cpu -= cpu
    others = [process for each, process in found.items() if each != roots[0]]
    return Observed(running.returncode, killed, time.monotonic() - started, read, [own, *others])


def _look(root: psutil.Process, found: dict[psutil.Process, Process], seconds: float) -> None:
    for each in _family(root):
        with suppress(psutil.Error, OSError):
            with each.oneshot():
                role = _role(each)  # that of its parent, until it has become another program; a zombie has none
                times, resident, peak = each.cpu_times(), each.memory_info().rss / _MEBIBYTE, _peak(each.pid)
            process = found.setdefault(each, Process(role))
            process.role, process.cpu = role, times.user + times.system
            process.peak = max(process.peak, peak, resident)
            process.memory.append((round(seconds, 2), round(resident, 1)))


def _kill(roots: Sequence[psutil.Process], role: str) -> str:
    """Kills all processes, or the one of that role that has worked most; returns the role if there was any.

    One that has only just started is spared: Flink waits for ever for a worker that died before it answered.
    """
    there = [each for root in roots if root.is_running() for each in _family(root)]
    victims = there
    if role != JOB:
        worked: dict[psutil.Process, float] = {}
        for each in there:
            with suppress(psutil.Error):  # one that has ended meanwhile
                if each != roots[0] and _role(each) == role:
                    worked[each] = _cpu(each)
        victims = sorted(worked, key=worked.__getitem__)[-1:]
    for each in victims:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    return role if victims else ""


def _family(root: psutil.Process) -> list[psutil.Process]:
    """The process and its descendants; nothing of one that has ended."""
    with suppress(psutil.Error):
        return [root, *root.children(recursive=True)]
    return []


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _peak(pid: int) -> float:
    """Most memory so far, in MiB."""
    told = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(told[1]) / 1024 if told else 0.0


def _role(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    return next((role for word, role in _ROLES if word in line), "other")
