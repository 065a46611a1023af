"""A command of the warm Python ends as one of Python's own does."""

import subprocess
import sys

import pytest

A_THREAD = """
import atexit, threading
atexit.register(print, "the end")
threading.Thread(target=lambda: (threading.main_thread().join(), print("the thread"))).start()
"""
ENDS = [f"raise SystemExit({code})" for code in ("", "0", "3", "True", "'why'", "1.5", "('a', 1)")]


@pytest.mark.parametrize("code", [A_THREAD, "1 / 0", *ENDS])
def test_a_command_ends_as_pythons_own_does(python, code):
    def end(program):
        done = subprocess.run([program, "-c", code], capture_output=True, text=True, timeout=600)
        return done.returncode, done.stdout, done.stderr.splitlines()[-1:]

    assert end(python) == end(sys.executable)


def test_a_command_ends_if_who_asked_for_it_is_killed(python):
    code = "import signal; print('here', flush=True); signal.pause()"
    with subprocess.Popen([python, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"here\n"
        process.kill()
        assert process.communicate(timeout=300) == (b"", None)  # only once the command has ended, too
