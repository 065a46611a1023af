"""Objects that a process has once, whatever runs in it: a Dataflow worker runs several bundles at a time in one."""

import functools
from collections.abc import Callable
from threading import Lock
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def per_process(make: Callable[P, T]) -> Callable[P, T]:
    """Makes a function return the same object for the same arguments, from every thread and until the process ends.

        @per_process
        def shared_pool(threads: int) -> ThreadPoolExecutor: ...

    ``functools.cache`` alone lets two threads make two objects at once. Beam's ``Shared`` keeps only the object alive
    that was acquired last, and a stage needs several.
    """
    cached, lock = functools.cache(make), Lock()

    @functools.wraps(make)
    def shared(*args: P.args, **kwargs: P.kwargs) -> T:
        with lock:
            return cached(*args, **kwargs)  # type: ignore[arg-type]

    return shared
