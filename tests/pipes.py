"""Pipes, as a shell gives them to a command."""

import os
import threading
from contextlib import contextmanager, suppress


@contextmanager
def pipe(data):
    """The name of a pipe into which a thread writes, as a shell's <(...) gives it."""
    reading, writing = os.pipe()

    def write():
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)
        thread.join()
