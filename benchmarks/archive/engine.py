"""Beam engines on this machine, started as the tests start them: the options of a job there, and their processes."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.engines.processes import flink_job_server, free_port, prism, running, sdk_workers

DIRECT, PRISM, FLINK = ENGINES = ("direct", "prism", "flink")


class Engine(NamedTuple):
    """A running engine: the options of a job that runs on it, and the ids of the processes that belong to it."""

    options: Sequence[str]
    processes: Sequence[int]


@contextmanager
def engine(name: str, workers: int) -> Iterator[Engine]:
    """Starts an engine; with more than one of ``workers``, so many processes share the work."""
    if name == DIRECT:
        more = [f"--direct_num_workers={workers}", "--direct_running_mode=multi_processing"] if workers > 1 else []
        yield Engine(["--runner=DirectRunner", *more], [])
        return
    with tempfile.TemporaryDirectory() as made, sdk_workers(Path(made, "workers.log")) as pool:
        if name == PRISM:
            yield Engine(["--runner=PrismRunner", f"--prism_location={prism()}", *pool], _children())
            return
        port, artifacts = free_port(), free_port()
        command = [*flink_job_server(), f"--job-port={port}", f"--artifact-port={artifacts}", "--expansion-port=0"]
        command += ["--flink-master=[local]", f"--artifacts-dir={made}/artifacts"]
        options = ["--runner=PortableRunner", f"--job_endpoint=localhost:{port}", f"--parallelism={workers}"]
        options.append(f"--sdk_worker_parallelism={workers}")
        with running(command, port, Path(made, "flink.log")):
            yield Engine([*options, *pool], _children())


def _children() -> list[int]:
    return [process.pid for process in psutil.Process().children()]
