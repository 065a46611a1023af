"""Beam engines other than Python's own: got by name from their registries, kept in .engines/, and run as processes."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam

KEPT = Path(__file__).parents[2] / ".engines"
FLINK = "1.19"
# The job server as one jar at our own version of Beam; else an older one as a class path, of versions that fit each
# other. Runner and SDK talk in Beam's portable protocol, which both have.
FLINK_CLASS_PATH_BEAM = "2.62.0"


class UnavailableError(Exception):
    """An engine that cannot be had here, and why."""


def prism() -> Path:
    """Prism at our version of Beam, from the Go module proxy; raises ``UnavailableError``."""
    kept = KEPT / f"prism-{apache_beam.__version__}"
    if not (kept / "prism").exists():
        package = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{apache_beam.__version__}"
        _get(["go", "install", package], GOBIN=str(kept), GOFLAGS="-mod=mod")
    return kept / "prism"


def flink_job_server() -> list[str]:
    """The command that starts Flink's job server, from Maven Central; raises ``UnavailableError``."""
    if not shutil.which("java"):
        raise UnavailableError("java is not installed")
    jar = f"beam-runners-flink-{FLINK}-job-server"
    single, many = KEPT / jar / f"{jar}-{apache_beam.__version__}.jar", KEPT / f"flink-{FLINK_CLASS_PATH_BEAM}"
    if not single.exists() and not many.exists():
        mvn = ["mvn", "--batch-mode", "--quiet"]
        artifact = f"-Dartifact=org.apache.beam:{jar}:{apache_beam.__version__}"
        try:
            _get([*mvn, "dependency:copy", artifact, f"-DoutputDirectory={single.parent}"])
        except UnavailableError:
            versions = [f"-Dflink.version={FLINK}", f"-Dbeam.version={FLINK_CLASS_PATH_BEAM}"]
            getting = many.with_suffix(".part")
            copy = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={getting}"]
            _get([*mvn, "--file", str(Path(__file__).with_name("pom.xml")), *copy, *versions])
            getting.rename(many)
    if single.exists():
        return ["java", "-jar", str(single)]
    return ["java", "-cp", f"{many}/*", "org.apache.beam.runners.flink.FlinkJobServerDriver"]


def _get(command: list[str], **environment: str) -> None:
    if not shutil.which(command[0]):
        raise UnavailableError(f"{command[0]} is not installed")
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=1200, check=False
    )
    if done.returncode:
        raise UnavailableError(f"`{' '.join(command)}` failed: {(done.stdout + done.stderr)[-500:]}")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """Runs a server until the block ends; waits until it listens on ``port``."""
    # The worker pool starts its workers as `python`.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("localhost", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, f"{command[0]} does not listen: {log.read_text()[-2000:]}"
                time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def sdk_workers(log: Path) -> Iterator[list[str]]:
    """A pool that starts a process for each SDK worker that an engine asks for; yields the options that name it."""
    port = free_port()
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    with running(command, port, log):
        yield ["--environment_type=EXTERNAL", f"--environment_config=localhost:{port}"]
