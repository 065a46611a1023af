"""Deadlines in a run whose servers falter: short where no answer ever ends, else none that a busy machine misses."""

from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

from beam_job.images.download import Downloader

_SHORT = 2.0  # seconds
_FIRST_WAIT = 0.05  # seconds, doubled with each try
_TRIES = 4
_NEVER = 10**6  # seconds


@contextmanager
def deadlines(seconds, endless):
    """Downloads are tried four times; of objects whose names start with one of ``endless`` they end after two seconds.

    Those would have the ``seconds`` of the job's ``--fetch_deadline``, which is checked.
    """
    get = Downloader.get

    def hurried(self, url, **limits):
        if "alt=media" in url and any(f"/o/{name}" in url for name in endless):
            assert limits["seconds"] == seconds
            limits["seconds"] = _SHORT
        return get(self, url, **limits)

    def wait(_, longest):
        return longest if longest < _FIRST_WAIT * 2**_TRIES else _NEVER

    with (
        mock.patch.object(Downloader, "get", hurried),
        mock.patch("beam_job.images.connections._LONGEST_PAUSE", _NEVER),
        mock.patch("beam_job.images.download._FIRST_WAIT", _FIRST_WAIT),
        mock.patch("beam_job.images.download.random", SimpleNamespace(uniform=wait)),
    ):
        yield
