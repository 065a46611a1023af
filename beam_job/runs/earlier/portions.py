"""Sends a worker's results in small portions, which take less memory.

Beam collects 10 MiB of results before it sends them, and copies them some five times on the way. It has no option for
this size, so the method that decides when to send is replaced in the worker's process.
"""

from typing import Any

from apache_beam.runners.worker import data_plane

PORTION = 1 << 20
"""Bytes of results that are sent together; more where the last of them is large."""


def send_in_small_portions() -> None:
    """For all that this process sends from now on. Changes nothing in a release of Beam without this class."""
    buffer = getattr(data_plane, "SizeBasedBufferingClosableOutputStream", None)
    if buffer is not None:
        buffer.maybe_flush = _flush_if_full


def _flush_if_full(buffer: Any) -> None:
    """Beam calls it after each result, so that none is sent in part."""
    if buffer.size() >= PORTION:
        buffer.flush()
