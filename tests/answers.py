"""Servers that send HTTP answers of a test's choice, and what a download makes of them."""

import random

import pytest

from beam_job.images.download import ERRORS, Downloader, FetchError, FetchStats, anonymous_session
from tests.raw_server import RawServer

DATA = random.Random(5).randbytes(5_000)
CHUNKED = "Transfer-Encoding: chunked"


def answer(*headers, body=DATA, status="200 OK"):
    return b"\r\n".join([f"HTTP/1.1 {status}".encode(), *(header.encode("latin-1") for header in headers), b"", body])


def sent(*answers):
    """A server that sends each of its answers once, in order, and the last one for good."""
    left = list(answers)
    return RawServer(lambda connection, _: connection.sendall(left.pop(0) if len(left) > 1 else left[0]))


def get(server, max_bytes=10**6, seconds=30.0, stats=None):
    downloader = Downloader(anonymous_session(), 1, redirects=True)
    return downloader.get(f"{server.url}/a.jpg", max_bytes=max_bytes, seconds=seconds, stats=stats or FetchStats())


def code(*answers, **limits):
    """The code that an answer is refused with."""
    with sent(*answers) as server, pytest.raises(FetchError) as raised:
        get(server, **limits)
    assert raised.value.code in ERRORS
    assert len(raised.value.message) < 200
    assert raised.value.message.isprintable()
    return raised.value.code


def code_of(fetcher, uri, stats=None):
    """The code that a URI is refused with."""
    with pytest.raises(FetchError) as raised:
        fetcher.fetch(uri, stats)
    assert raised.value.code in ERRORS
    assert raised.value.message.endswith((".", ")."))
    return raised.value.code
