"""What reaches the terminal: our words and every error, none of the libraries' small talk."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from beam_job.terminal.stderr_filter import filtered, keep

START_UP = b"""\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795295628.909478   30571 port.cc:153] oneDNN custom operations are on. You may see slightly different ...
I0000 00:00:1795295628.919136   30571 cudart_stub.cc:31] Could not find cuda drivers on your machine.
2026-01-02 03:04:05.678901: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized ...
To enable the following instructions: AVX2, in other operations, rebuild TensorFlow with the appropriate compiler flags.
E0000 00:00:1.4   5 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: UNKNOWN ERROR (303)
E0000 00:00:1.4   5 util.cc:131] oneDNN supports DT_HALF only on platforms with AVX-512. Falling back to the default ...
"""
MATTERS = (
    b"W0000 00:00:1795295628.909478   30571 gpu_device.cc:2344] Cannot dlopen some GPU libraries.",
    b"E0000 00:00:1795295628.909478   30571 cuda_platform.cc:52] failed call to cuInit: CUDA error: no device (100)",
    b"F0000 00:00:1795295628.909478   30571 tensor.cc:1] Check failed: dtype() == expected_dtype",
    b"2026-01-02 03:04:05.678901: W tensorflow/core/framework/op_kernel.cc:1] OP_REQUIRES failed",
    b"beam_job: 3 of 8 captioned",
    b"I think this line is somebody's own",
    b"",
)


def test_small_talk_is_left_out_and_all_else_is_kept():
    assert not [line for line in START_UP.splitlines() if keep(line)]
    assert all(keep(line) for line in MATTERS)


def test_lines_may_arrive_in_pieces():
    text = START_UP + b"\n".join(MATTERS) + b"\n" + START_UP + b"the last words, unfinished"
    for size in (1, 7, 4096):
        pieces = (text[start : start + size] for start in range(0, len(text), size))
        assert b"".join(filtered(pieces)) == b"\n".join(MATTERS) + b"\nthe last words, unfinished"


def test_a_live_line_is_passed_on_at_once_and_cleared_before_the_next():
    passed = list(filtered(iter([b"\r\x1b[K1 captioned", b"\r\x1b[K2 captioned", b"WARNING x\n", b"done\n"])))
    assert passed == [b"\r\x1b[K1 captioned", b"\r\x1b[K2 captioned", b"\r\x1b[KWARNING x\n", b"done\n"]


def in_console(body, verbose=False):
    code = "import logging, os, sys\nfrom beam_job.terminal.console import console\n"
    code += f"with console({verbose}) as terminal:\n    {body}\n"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_what_is_written_to_the_descriptor_itself_is_filtered():
    done = in_console("os.write(2, b'I0000 00:00:1.2 3 a.cc:1] hm\\nE0000 00:00:1.2 3 a.cc:1] oh\\n')")
    assert done.stderr == "E0000 00:00:1.2 3 a.cc:1] oh\n"
    done = in_console("os.write(2, b'I0000 00:00:1.2 3 a.cc:1] hm\\n')", verbose=True)
    assert done.stderr == "I0000 00:00:1.2 3 a.cc:1] hm\n"


def test_the_last_words_of_a_crash_are_kept():
    done = in_console("os.write(2, b'F0000 00:00:1.2 3 a.cc:1] Check failed\\n'); os.abort()")
    assert done.stderr == "F0000 00:00:1.2 3 a.cc:1] Check failed\n"
    assert done.returncode < 0
    done = in_console("raise RuntimeError('oh')")
    assert done.stderr.endswith("RuntimeError: oh\n")


@pytest.mark.parametrize("verbose", [False, True])
def test_warnings_of_the_libraries_are_left_out_and_their_errors_are_not(verbose):
    body = (
        "f = logging.Logger.manager.loggerClass or logging.getLoggerClass(); root = logging.getLogger(); "
        "[root.handle(root.makeRecord('x', level, f'/lib/{place}/a.py', 1, f'{place} {level}', (), None)) "
        "for place in ('apache_beam', 'beam_job') for level in (20, 30, 40) if root.isEnabledFor(level)]"
    )
    lines = in_console(body, verbose).stderr.splitlines()
    quiet = ["ERROR x: apache_beam 40", "WARNING x: beam_job 30", "ERROR x: beam_job 40"]
    assert lines == (
        quiet
        if not verbose
        else [f"{logging_name(n)} x: {p} {n}" for p in ("apache_beam", "beam_job") for n in (20, 30, 40)]
    )


def logging_name(level):
    return {20: "INFO", 30: "WARNING", 40: "ERROR"}[level]


@pytest.mark.parametrize(
    ("columns", "kind", "width"),
    [(132, "xterm", "132"), (20, "xterm", "None"), (132, "dumb", "None"), (132, "", "None"), (0, "xterm", "80")],
)
def test_a_live_line_is_drawn_where_there_is_room_for_one(columns, kind, width):
    code = (
        "import fcntl, struct, sys, termios\nfrom beam_job.terminal.console import console\n"
        "with console(False) as width:\n"
        "    print(width and width())\n"
        "    fcntl.ioctl(int(sys.argv[1]), termios.TIOCSWINSZ, struct.pack('4H', 24, 50, 0, 0))\n"
        "    print(width and width())"
    )
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": kind}
    command = [sys.executable, "-c", code, str(theirs)]
    done = subprocess.run(
        command, stderr=theirs, stdout=subprocess.PIPE, text=True, check=True, env=environment, pass_fds=[theirs]
    )
    os.close(ours)
    os.close(theirs)
    assert done.stdout.splitlines() == [width, "None" if width == "None" else "50"]


def test_no_terminal_no_live_line():
    assert in_console("pass").stderr == ""
    assert in_console("sys.stdout.write(str(terminal))").stdout == "None"


def test_what_libraries_log_is_shown_escaped_and_our_own_errors_without_their_traceback():
    body = (
        "logging.warning('clear\\x1b[2J\\nbeam_job: a line of its own')\n"
        "    from beam_job.terminal.streams import escaped\n"
        "    Ours = type('Ours', (Exception,), {'__module__': 'beam_job.x'})\n"
        "    for error in (Ours('ours'), KeyError('theirs')):\n"
        "        try:\n            raise error\n"
        "        except Exception as raised:\n"
        "            root, trace = logging.getLogger(), (type(raised), raised, raised.__traceback__)\n"
        "            root.handle(root.makeRecord('x', 40, '/apache_beam/a.py', 1, 'oh', (), trace))"
    )
    shown = in_console(body).stderr
    assert shown.startswith("WARNING root: clear\\x1b[2J\n  beam_job: a line of its own\nERROR x: oh\n  Traceback ")
    assert shown.endswith("KeyError: 'theirs'\n")
    assert "ours" not in shown
