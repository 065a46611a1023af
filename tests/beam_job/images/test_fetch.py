"""Fetching from a Cloud Storage with faults, and what is no URI: which codes, how many requests, which waits."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from beam_job.images.download import FetchError, FetchStats, anonymous_session, settled
from beam_job.images.fetch import Fetcher, FetchLimits, shared_fetcher
from beam_job.images.load import _shared_pool
from tests.answers import code_of
from tests.clock import Clock
from tests.storage import Storage

DATA = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def storage():
    with Storage() as storage:
        storage.bucket("photos")
        yield storage


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("beam_job.images.download._FIRST_WAIT", 0.02)


def test_an_object_is_one_request(storage):
    storage.put("photos", "one.jpg", DATA)
    stats = FetchStats()
    assert Fetcher(FetchLimits()).fetch("gs://photos/one.jpg", stats) == DATA
    assert storage.requests["one.jpg"] == 1
    assert (stats.retries, stats.waited) == (0, 0.0)
    assert stats.version == next(Fetcher(FetchLimits()).objects("photos", "one.jpg"))[2]


@pytest.mark.parametrize("fault", [408, 429, 500, 502, 503, 504, "reset", "short", "damaged", "cut"])
def test_what_falters_is_tried_again(storage, fault):
    name = f"{fault}.jpg"
    storage.put("photos", name, DATA)
    storage.faults[name] = [fault, fault]
    stats = FetchStats()
    assert Fetcher(FetchLimits()).fetch(f"gs://photos/{name}", stats) == DATA
    assert storage.requests[name] == 3
    assert stats.retries == 2
    assert stats.waited > 0


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (404, "not_found"),
        (410, "not_found"),
        (401, "permission_denied"),
        (403, "permission_denied"),
        (400, "refused"),
        (302, "refused"),
    ],
)
def test_what_does_not_get_better_is_asked_for_once(storage, fault, found):
    name = f"{fault}-always.jpg"
    storage.put("photos", name, DATA)
    storage.faults[name] = [fault] * 9
    assert code_of(Fetcher(FetchLimits()), f"gs://photos/{name}") == found
    assert storage.requests[name] == 1


@pytest.mark.parametrize("fault", [503, "reset", "short", "damaged"])
def test_what_falters_for_ever_is_given_up_when_the_next_wait_would_pass_the_deadline(storage, monkeypatch, fault):
    name = f"{fault}-forever.jpg"
    storage.put("photos", name, DATA)
    storage.faults[name] = [fault] * 99
    clock = Clock()
    monkeypatch.setattr("beam_job.images.download.time", clock)
    monkeypatch.setattr("beam_job.images.download.random", SimpleNamespace(uniform=lambda _, longest: longest))
    monkeypatch.setattr("beam_job.images.download._FIRST_WAIT", 0.25)
    stats = FetchStats()
    assert code_of(Fetcher(FetchLimits(seconds=60)), f"gs://photos/{name}", stats) == "unavailable"
    assert clock.slept == [0.5, 1, 2, 4, 8, 16, 16]
    assert storage.requests[name] == 8
    assert (stats.retries, stats.waited) == (7, 47.5)


@pytest.mark.parametrize("fault", ["trickle", "silent"])
def test_what_comes_too_slowly_ends_at_the_deadline(storage, monkeypatch, fault):
    """Without a deadline its body would come whole, after 20 s or a minute: nothing else ends it here."""
    name = f"{fault}-forever.jpg"
    storage.put("photos", name, DATA)
    storage.faults[name] = [fault] * 99
    monkeypatch.setattr("beam_job.images.connections._LONGEST_PAUSE", 600)
    monkeypatch.setattr("beam_job.images.fetch._PATIENCE", 600)
    assert code_of(Fetcher(FetchLimits(seconds=0.3)), f"gs://photos/{name}") == "deadline_exceeded"


def test_a_missing_object_and_a_missing_bucket(storage):
    fetcher = Fetcher(FetchLimits())
    assert code_of(fetcher, "gs://photos/none.jpg") == "not_found"
    assert code_of(fetcher, "gs://no-such-bucket/none.jpg") == "not_found"


def test_too_many_bytes_are_refused_before_they_are_read(storage):
    storage.put("photos", "large.jpg", DATA)
    storage.faults["large.jpg"] = ["trickle"]
    assert code_of(Fetcher(FetchLimits(max_bytes=len(DATA) - 1)), "gs://photos/large.jpg") == "too_large"
    assert Fetcher(FetchLimits(max_bytes=len(DATA))).fetch("gs://photos/large.jpg") == DATA


def test_listing_page_by_page(storage):
    storage.bucket("listed")
    for number in range(7):
        storage.put("listed", f"a/{number}.jpg", b"x")
    storage.put("listed", "b.jpg", b"x")
    storage.page_size = 3
    found = list(Fetcher(FetchLimits()).objects("listed", "a/"))
    storage.page_size = None
    assert [(name, size) for name, size, _ in found] == [(f"a/{number}.jpg", 1) for number in range(7)]
    assert len({version for *_, version in found}) == 7
    assert storage.requests["listed/"] == 3


def test_many_threads_share_the_connections(storage):
    storage.put("photos", "shared.jpg", DATA)
    storage.connections.clear()
    fetcher, together = Fetcher(FetchLimits(), threads=4), threading.Barrier(4)

    def fetch(uri):
        together.wait()
        return fetcher.fetch(uri)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(fetch, ["gs://photos/shared.jpg"] * 40)) == [DATA] * 40
    assert storage.requests["shared.jpg"] == 40
    assert 1 <= len(storage.connections) <= 4


@pytest.mark.usefixtures("one_try")
def test_proxies_of_the_environment_are_used(storage, monkeypatch):
    storage.put("photos", "cat.jpg", DATA)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
    assert code_of(Fetcher(FetchLimits()), "gs://photos/cat.jpg") == "unavailable"
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    assert Fetcher(FetchLimits()).fetch("gs://photos/cat.jpg") == DATA


def test_certificates_of_the_environment_are_used(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert settled(anonymous_session(), "https://storage.googleapis.com").verify == str(tmp_path)


def test_threads_that_come_together_share_a_fetcher_and_the_pool(monkeypatch):
    together = threading.Barrier(8)

    def slowly(*_, **__):
        time.sleep(0.05)  # so that the others come meanwhile
        return object()

    def come(shared, *arguments):
        together.wait()
        return shared(*arguments)

    monkeypatch.setattr("beam_job.images.fetch.Fetcher", slowly)
    monkeypatch.setattr("beam_job.images.load.ThreadPoolExecutor", slowly)
    limits = FetchLimits(seconds=12.34)  # no other test's
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: come(shared_fetcher, limits, 1234), range(8)))) == 1
        assert len(set(pool.map(lambda _: come(_shared_pool, 1234), range(8)))) == 1


@pytest.mark.parametrize("uri", ["gs://bucket", "gs://bucket/", "gs:///name", "", "a\0b", "file://host/a.jpg"])
def test_bad_uris(uri):
    assert code_of(Fetcher(FetchLimits()), uri) == "bad_uri"


@pytest.mark.parametrize(
    "uri", ["https://example.com/a.jpg", "http://localhost/a.jpg", "s3://a/b", "data://x", "ftp://x"]
)
def test_schemes_that_are_not_on_the_list(uri):
    assert code_of(Fetcher(FetchLimits()), uri) == "scheme_not_allowed"


@settings(max_examples=100)
@given(
    st.sampled_from(
        ["", "/", "gs://", "gs://b/", "file://", "file:///", "https://127.0.0.1:9/", "https://127.0.0.1:9?"]
    ),
    st.text(max_size=20),
)
def test_any_text_gives_a_documented_code(start, text):
    assume(
        not os.path.isfile((start + text).removeprefix("file://"))
    )  # hypothesis tries texts of the code, such as /proc/self/status
    fetcher = Fetcher(FetchLimits(seconds=0.001, allow_https=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:9")  # nobody listens there
        code_of(fetcher, start + text)


def test_a_name_server_that_never_answers_costs_no_more_than_the_deadline(monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: answered.wait())
    monkeypatch.setattr("beam_job.images.fetch._PATIENCE", -299.9)  # given up long before a deadline of its own
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://storage.example")
    with pytest.raises(FetchError, match="it hangs") as raised:
        Fetcher(FetchLimits(seconds=300)).fetch("gs://photos/a.jpg")
    assert raised.value.code == "deadline_exceeded"
    answered.set()


@pytest.mark.parametrize(
    "uri",
    [
        "file:///photos/a%00.jpg",
        "file:///photos/a%00",
        "file://localhost/%00",
        "file://photos/a.jpg",
        "file:///\ud800.jpg",
        "/photos/\ud800.jpg",
        "/photos/a\0.jpg",
        "gs://photos/\ud800.jpg",
        "https://exam\nple.com/a.jpg",
        "https://example.com/a\r\nX-Header: x",
        "https://example.com/\x7f",
    ],
)
def test_what_is_no_uri(uri):
    assert code_of(Fetcher(FetchLimits(allow_https=True)), uri) == "bad_uri"
