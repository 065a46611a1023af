"""Objects that exist once per process: a Dataflow worker runs several bundles at a time in one process."""

import functools
from collections.abc import Callable
from threading import Lock
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def per_process(make: Callable[P, T]) -> Callable[P, T]:
    """Makes a function return the same object for the same arguments, from every thread, until the process ends.

        @per_process
        def shared_pool(threads: int) -> ThreadPoolExecutor: ...

    With ``functools.cache`` alone two threads may create two objects at once. Beam's ``Shared`` keeps only the last
    acquired object alive, but a stage needs several.
    """
    cached, lock = functools.cache(make), Lock()

    @functools.wraps(make)
    def shared(*args: P.args, **kwargs: P.kwargs) -> T:
        with lock:
            return cached(*args, **kwargs)  # type: ignore[arg-type]

    return shared
