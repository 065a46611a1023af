"""What a piece of work costs, counted rather than timed: a busy machine changes nothing about it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = str(Path(__file__).parents[1] / "beam_job")


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of ``beam_job`` are run; those of a loop count each time. What runs in C counts nothing."""
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines
