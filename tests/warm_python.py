"""A Python that has imported Beam and the job: what it runs is forked from it, and spends no second on imports.

    python warm_python.py serve SOCKET [module ...] # imports, then forks a process for each command
    python warm_python.py SOCKET -m module ...      # runs a command in such a process, as `python -m module ...` would

The command has this one's folder, environment and streams, and this one ends as the command does. For tests of what a
command does: not of what it imports, nor of signals.
"""

import atexit
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]


@contextmanager
def warm_python(*modules: str) -> Iterator[Path]:
    """A program that takes Python's arguments, for as long as the block lasts; it has imported ``modules``, too."""
    with tempfile.TemporaryDirectory() as folder:  # the name of a socket has to be short
        place, program = f"{folder}/socket", Path(folder, "python")
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} {place} "$@"\n')
        program.chmod(0o755)
        command = [sys.executable, __file__, "serve", place, *modules]
        environment, pipe = {**os.environ, "PYTHONPATH": str(ROOT)}, subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe) as server:
            assert server.stdout.readline() == b"ready\n"
            yield program


def serve(place: str, modules: list[str]) -> list[str]:
    """Forks a process for each command, and returns in none but theirs, with the arguments of the command.

    It ends when its standard input does, also where who started it was killed.
    """
    from apache_beam.internal.gcp import auth

    import beam_job.cli
    import beam_job.export.command
    import beam_job.report.command
    import beam_job.review.command  # noqa: F401

    auth._Credentials._credentials_init = True  # there are none: Beam would look for them for 20 seconds
    for module in modules:
        importlib.import_module(module)
    # Counts Python's own threads only: Beam and TensorFlow have native ones here, too, which no command has missed yet.
    assert threading.active_count() == 1, "a fork would lack Python's other threads"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            client, _ = listener.accept()
            if os.fork() == 0:
                return take(client)
            client.close()
            reap()
    os._exit(0)


def take(client: socket.socket) -> list[str]:
    """Takes a command, and forks again: one process tells how the other, which returns, has ended.

    It kills the other if who asked for the command is killed.
    """
    _, streams, *_ = socket.recv_fds(client, 1, 3)
    with client.makefile() as lines:
        folder, environment, arguments = json.loads(lines.readline())
    ended, end = os.pipe()  # the command has its end, and closes it in ending
    if child := os.fork():
        os.close(end)
        if client in select.select([client, ended], [], [])[0]:  # who asked was killed
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        with suppress(BrokenPipeError):
            client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.close(ended)
    client.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", 1, errors="backslashreplace")  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return arguments


def reap() -> None:
    with suppress(ChildProcessError):  # there is none
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def ask(place: str, arguments: list[str]) -> None:
    """Has a command run, and ends as it does."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(place)
        socket.send_fds(server, [b" "], [0, 1, 2])
        server.sendall(json.dumps([os.getcwd(), dict(os.environ), arguments]).encode() + b"\n")
        with server.makefile() as lines:
            status = int(lines.readline())
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)


def run(arguments: list[str]) -> None:
    """What Python does with its arguments."""
    if arguments[0] == "-m":
        sys.argv, sys.path[0] = arguments[1:], os.getcwd()
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        exec(arguments[1], {"__name__": "__main__"})
    else:
        sys.argv, sys.path[0] = arguments, os.path.dirname(arguments[0])
        runpy.run_path(sys.argv[0], run_name="__main__")


def run_to_the_end(arguments: list[str]) -> NoReturn:
    """Runs a command and ends this process, but without taking apart all that was imported, which is half a second."""
    status = 0
    try:
        run(arguments)
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
        if not isinstance(left.code, int | None):
            print(left.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        run_to_the_end(serve(sys.argv[2], sys.argv[3:]))
    else:
        ask(sys.argv[1], sys.argv[2:])
