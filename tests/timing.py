"""Measuring time in tests."""

from __future__ import annotations

import time
from collections.abc import Callable


def least_cpu_seconds(work: Callable[[], object], times: int = 5) -> float:
    """CPU time of this thread, which a busy machine disturbs less than the clock on the wall."""
    seconds = []
    for _ in range(times):
        start = time.thread_time()
        work()
        seconds.append(time.thread_time() - start)
    return min(seconds)
