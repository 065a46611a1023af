"""Calls that hang: given up in time, counted, and never waited for again."""

import subprocess
import sys
import threading
import weakref

import pytest

from beam_job.images.bounded_calls import BoundedCalls, HangError

LONG = 600.0  # seconds; no test waits so long


def test_a_call_gives_what_its_function_gives():
    calls = BoundedCalls(1)
    data = bytes(100)
    assert calls.call(lambda: data, LONG) is data
    with pytest.raises(TimeoutError, match="its own"):
        calls.call(lambda: (_ for _ in ()).throw(TimeoutError("its own")), LONG)
    assert calls.call(lambda: 1, LONG) == 1


def test_a_call_that_hangs_is_given_up_and_keeps_its_place_until_it_comes_back():
    mended = threading.Event()
    came_back = threading.Event()

    def hang():
        mended.wait()
        came_back.set()

    calls = BoundedCalls(2)
    with pytest.raises(HangError, match="was abandoned"):
        calls.call(hang, 0.01)
    assert calls.call(lambda: 1, LONG) == 1  # one place is left
    with pytest.raises(HangError, match="was abandoned"):
        calls.call(hang, 0.01)
    with pytest.raises(HangError, match="too many are blocked"):
        calls.call(lambda: 1, 0.01)
    mended.set()
    assert came_back.wait(LONG)
    assert calls.call(lambda: 1, LONG) == 1


def test_a_call_waits_for_a_place_within_its_time():
    mended = threading.Event()
    calls = BoundedCalls(1)
    with pytest.raises(HangError):
        calls.call(mended.wait, 0.01)
    found = []
    waiting = threading.Thread(target=lambda: found.append(calls.call(lambda: 1, LONG)))
    waiting.start()
    mended.set()
    waiting.join()
    assert found == [1]


def test_a_thread_serves_many_calls_and_holds_nothing_of_them():
    calls = BoundedCalls(1)
    held = weakref.ref(calls.call(lambda: {1, 2, 3}, LONG))
    threads = {calls.call(threading.get_ident, LONG) for _ in range(100)}
    assert len(threads) == 1
    assert held() is None


def test_no_place_is_lost_when_no_thread_can_be_started(monkeypatch):
    calls = BoundedCalls(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("no thread")))
        with pytest.raises(RuntimeError):
            calls.call(lambda: 1, LONG)
    assert calls.call(lambda: 1, LONG) == 1


def test_the_process_ends_without_waiting_for_what_hangs(tmp_path):
    program = """
import os, sys
from beam_job.images.bounded_calls import BoundedCalls, HangError
os.mkfifo(sys.argv[1])
try:
    BoundedCalls(1).call(lambda: open(sys.argv[1]), 0.01)  # nobody ever writes
except HangError:
    print("given up")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "pipe"], capture_output=True, text=True, timeout=LONG, check=True
    )
    assert done.stdout == "given up\n"
