"""Fetching: from disks and from a Cloud Storage with faults; which codes, how many requests, how long at most."""

import gzip
import itertools
import os
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.images.fetch import Fetcher, FetchLimits, shared_fetcher
from beam_job.images.http import ERRORS, FetchError, FetchStats, anonymous_session, settled
from beam_job.images.load import _shared_pool
from tests.https_server import https_server
from tests.memory import traced
from tests.storage import Storage

DATA = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def storage():
    with Storage() as storage:
        storage.bucket("photos")
        yield storage


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("beam_job.images.http._FIRST_WAIT", 0.02)


def code(fetcher, uri):
    with pytest.raises(FetchError) as raised:
        fetcher.fetch(uri)
    assert raised.value.code in ERRORS
    assert raised.value.message.endswith((".", ")."))
    return raised.value.code


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
    assert code(Fetcher(FetchLimits()), f"gs://photos/{name}") == found
    assert storage.requests[name] == 1


@pytest.mark.parametrize("fault", [503, "reset", "short", "damaged", "trickle", "silent"])
def test_the_deadline_holds(storage, fault):
    name = f"{fault}-forever.jpg"
    storage.put("photos", name, DATA)
    storage.faults[name] = [fault] * 99
    started = time.monotonic()
    found = code(Fetcher(FetchLimits(seconds=2.0)), f"gs://photos/{name}")
    assert time.monotonic() - started < 30.0  # nothing here ends by itself in a minute
    assert found == ("deadline_exceeded" if fault in ("trickle", "silent") else "unavailable")


def test_a_missing_object_and_a_missing_bucket(storage):
    fetcher = Fetcher(FetchLimits())
    assert code(fetcher, "gs://photos/none.jpg") == "not_found"
    assert code(fetcher, "gs://no-such-bucket/none.jpg") == "not_found"


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_hint_at_a_name_in_the_other_unicode_form(tmp_path, form, other):
    there, listed = (tmp_path / unicodedata.normalize(used, "Café.jpg") for used in (form, other))
    there.write_bytes(DATA)
    if listed.exists():
        pytest.skip("this disk takes both forms for one")
    with pytest.raises(FetchError, match=f"in Unicode's form {form}; list that name") as raised:
        Fetcher(FetchLimits()).fetch(str(listed))
    assert raised.value.code == "not_found"
    with pytest.raises(FetchError, match="not_found") as raised:
        Fetcher(FetchLimits()).fetch(str(tmp_path / "Cafè.jpg"))
    assert "Unicode" not in raised.value.message


def test_too_many_bytes_are_refused_before_they_are_read(storage):
    storage.put("photos", "large.jpg", DATA)
    storage.faults["large.jpg"] = ["trickle"]
    assert code(Fetcher(FetchLimits(max_bytes=len(DATA) - 1)), "gs://photos/large.jpg") == "too_large"
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
    fetcher = Fetcher(FetchLimits(), threads=4)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(fetcher.fetch("gs://photos/shared.jpg"))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [DATA] * 16


def test_proxies_of_the_environment_are_used(storage, monkeypatch):
    storage.put("photos", "cat.jpg", DATA)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
    assert code(Fetcher(FetchLimits(seconds=0.5)), "gs://photos/cat.jpg") == "unavailable"
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    assert Fetcher(FetchLimits()).fetch("gs://photos/cat.jpg") == DATA


def test_certificates_of_the_environment_are_used(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert settled(anonymous_session(), "https://storage.googleapis.com").verify == str(tmp_path)


def test_threads_that_come_together_share_a_fetcher_and_the_pool(monkeypatch):
    def slowly(*args, **_):
        time.sleep(0.05)
        return object()

    monkeypatch.setattr("beam_job.images.fetch.Fetcher", slowly)
    monkeypatch.setattr("beam_job.images.load.ThreadPoolExecutor", slowly)
    limits = FetchLimits(seconds=12.34)  # no other test's
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: shared_fetcher(limits, 1234), range(8)))) == 1
        assert len(set(pool.map(lambda _: _shared_pool(1234), range(8)))) == 1


@pytest.mark.parametrize("uri", ["gs://bucket", "gs://bucket/", "gs:///name", "", "a\0b", "file://host/a.jpg"])
def test_bad_uris(uri):
    assert code(Fetcher(FetchLimits()), uri) == "bad_uri"


@pytest.mark.parametrize(
    "uri", ["https://example.com/a.jpg", "http://localhost/a.jpg", "s3://a/b", "data://x", "ftp://x"]
)
def test_schemes_that_are_not_on_the_list(uri):
    assert code(Fetcher(FetchLimits()), uri) == "scheme_not_allowed"


@settings(max_examples=100, deadline=2_000, derandomize=True, database=None)
@given(
    st.sampled_from(
        ["", "/", "gs://", "gs://b/", "file://", "file:///", "https://127.0.0.1:9/", "https://127.0.0.1:9?"]
    ),
    st.text(max_size=20),
)
def test_any_text_gives_a_documented_code(start, text):
    fetcher = Fetcher(FetchLimits(seconds=0.001, allow_https=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:9")  # nobody listens there
        code(fetcher, start + text)


def test_https_takes_no_passwords_and_only_https():
    fetcher = Fetcher(FetchLimits(allow_https=True, seconds=0.5))
    assert code(fetcher, "https://user:secret@example.com/a.jpg") == "bad_uri"
    assert code(fetcher, "http://127.0.0.1/a.jpg") == "scheme_not_allowed"
    assert code(fetcher, "https://[::1/a.jpg") == "bad_uri"


class Web(BaseHTTPRequestHandler):
    """Answers /a.jpg; redirects /to?<url>; keeps what it was sent."""

    heard: ClassVar[list[dict[str, str]]] = []

    def do_GET(self):
        self.heard.append(dict(self.headers))
        path, _, query = self.path.partition("?")
        body = gzip.compress(DATA) if path == "/packed.jpg" else DATA
        self.send_response(302 if path == "/to" else 200)
        self.send_header("Set-Cookie", "id=1")
        self.send_header("Location", query)
        if path == "/packed.jpg":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path, monkeypatch):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    Web.heard.clear()
    with https_server(Web, tmp_path, monkeypatch) as url:
        yield url


def test_https(web):
    fetcher = Fetcher(FetchLimits(allow_https=True, seconds=5))
    assert fetcher.fetch(f"{web}/a.jpg") == DATA
    assert fetcher.fetch(f"{web}/to?{web}/a.jpg") == DATA
    assert fetcher.fetch(f"{web}/packed.jpg") == DATA
    assert code(fetcher, f"{web}/to?http://127.0.0.1/a.jpg") == "scheme_not_allowed"
    assert code(fetcher, f"{web}/to?file:///etc/passwd") == "scheme_not_allowed"
    assert code(fetcher, f"{web}/to?/to?/to?/to?/to?/to?/to?/a.jpg") == "refused"
    assert not any({"Authorization", "Cookie"} & set(headers) for headers in Web.heard)
    small = Fetcher(FetchLimits(max_bytes=len(DATA) - 1, allow_https=True))
    assert code(small, f"{web}/packed.jpg") == "too_large"


def test_messages_hold_no_secrets():
    fetcher = Fetcher(FetchLimits(allow_https=True, seconds=0.3))
    with pytest.raises(FetchError) as raised:
        fetcher.fetch("https://127.0.0.1:9/a.jpg?X-Goog-Signature=secret")
    assert raised.value.code == "unavailable"
    assert "secret" not in raised.value.message


def test_local_files(tmp_path):
    (tmp_path / "ein bild%20.jpg").write_bytes(DATA)
    fetcher = Fetcher(FetchLimits(max_bytes=len(DATA)))
    assert fetcher.fetch(f"{tmp_path}/ein bild%20.jpg") == DATA
    assert fetcher.fetch(f"file://{tmp_path}/ein%20bild%2520.jpg") == DATA
    assert code(fetcher, f"{tmp_path}/none.jpg") == "not_found"
    assert code(fetcher, f"{tmp_path}") == "not_found"
    assert code(fetcher, f"{tmp_path}/ein bild%20.jpg/x") == "not_found"
    assert code(fetcher, "x" * 5000) == "not_found"
    assert code(Fetcher(FetchLimits(max_bytes=len(DATA) - 1)), f"{tmp_path}/ein bild%20.jpg") == "too_large"


def test_special_files_are_not_waited_for(monkeypatch, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert code(Fetcher(FetchLimits()), f"{tmp_path}/pipe.jpg") == "not_found"
    assert code(Fetcher(FetchLimits()), "/dev/zero") == "not_found"
    regular = os.stat(__file__)
    with monkeypatch.context() as patch:
        patch.setattr("beam_job.images.fetch.os.stat", lambda *_, **__: regular)  # as it was a moment ago
        found = code(Fetcher(FetchLimits()), f"{tmp_path}/pipe.jpg")
    assert found == "not_found"


def test_special_files_are_not_opened(monkeypatch, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.setattr("beam_job.images.fetch._open", lambda *_: pytest.fail("opened"))
    assert code(Fetcher(FetchLimits()), f"{tmp_path}/pipe.jpg") == "not_found"


def test_a_file_whose_size_is_told_as_0_is_bounded_while_it_is_read():
    path = "/proc/self/smaps"
    if not os.path.exists(path):
        pytest.skip("no /proc here")
    assert os.stat(path).st_size == 0
    assert len(Fetcher(FetchLimits()).fetch(path)) > 1_000
    with pytest.raises(FetchError, match="over the limit of 10") as raised:
        Fetcher(FetchLimits(max_bytes=10)).fetch(path)
    assert raised.value.code == "too_large"


def test_a_local_file_is_held_once(tmp_path):
    size = 50_000_000
    (tmp_path / "large.jpg").write_bytes(bytes(size))
    with traced() as peak:
        assert len(Fetcher(FetchLimits(max_bytes=size)).fetch(f"{tmp_path}/large.jpg")) == size
        assert peak() < 1.2 * size


def test_a_local_file_that_trickles_ends_at_the_deadline_and_one_that_is_whole_by_then_is_whole(monkeypatch, tmp_path):
    (tmp_path / "whole.jpg").write_bytes(DATA)
    (tmp_path / "large.jpg").write_bytes(bytes(3_000_000))
    clock = itertools.count(step=100)  # each look at it is 100 s later
    monkeypatch.setattr("beam_job.images.fetch.time", SimpleNamespace(monotonic=lambda: next(clock)))
    fetcher = Fetcher(FetchLimits(seconds=60))
    assert fetcher.fetch(f"{tmp_path}/whole.jpg") == DATA
    assert code(fetcher, f"{tmp_path}/large.jpg") == "deadline_exceeded"


@pytest.fixture
def hung_mount(monkeypatch, tmp_path):
    """A folder whose files hang in the operating system when they are opened, until the test is over."""
    pipe, mount = tmp_path / "pipe", tmp_path / "mount"
    os.mkfifo(pipe)
    mount.mkdir()
    names = [str(mount / f"{number}.jpg") for number in range(3)]
    for name in names:
        Path(name).write_bytes(DATA)
    # Opening a pipe into which nobody writes hangs in the kernel.
    monkeypatch.setattr(
        "beam_job.images.fetch._open", lambda path, flags: os.open(pipe if path in names else path, flags)
    )
    monkeypatch.setattr("beam_job.images.fetch._PATIENCE", 0.01)
    yield names
    os.close(os.open(pipe, os.O_RDWR))


def test_a_hung_mount_costs_its_images_alone(hung_mount, monkeypatch, tmp_path):
    monkeypatch.setattr("beam_job.images.fetch._MOST_HANGING", 2)
    (tmp_path / "good.jpg").write_bytes(DATA)
    fetcher = Fetcher(FetchLimits(), threads=1)

    def given_up(uri, reason):
        monkeypatch.setattr(fetcher, "_limits", FetchLimits(seconds=0.05))
        with pytest.raises(FetchError, match=f"after its deadline of 0.05 s: {reason}") as raised:
            fetcher.fetch(uri)
        assert raised.value.code == "deadline_exceeded"
        monkeypatch.setattr(fetcher, "_limits", FetchLimits())

    for uri in hung_mount[:2]:
        given_up(uri, "it hangs")
        assert fetcher.fetch(f"{tmp_path}/good.jpg") == DATA
    given_up(hung_mount[2], "it hangs")
    given_up(f"{tmp_path}/good.jpg", "no thread is free")


def test_a_name_server_that_never_answers_costs_no_more_than_the_deadline(monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: answered.wait())
    monkeypatch.setattr("beam_job.images.fetch._PATIENCE", 0.01)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://storage.example")
    with pytest.raises(FetchError, match="it hangs") as raised:
        Fetcher(FetchLimits(seconds=0.05)).fetch("gs://photos/a.jpg")
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
    assert code(Fetcher(FetchLimits(allow_https=True)), uri) == "bad_uri"


def test_a_file_uri_names_any_bytes(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9 #1?.jpg"
    with open(path, "wb") as file:
        file.write(DATA)
    assert Fetcher(FetchLimits()).fetch(f"file://{quote(path)}") == DATA
    assert Fetcher(FetchLimits()).fetch(f"file://localhost{quote(path)}") == DATA


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(DATA)
    (tmp_path / "a.jpg").chmod(0)
    assert code(Fetcher(FetchLimits()), f"{tmp_path}/a.jpg") == "permission_denied"
