"""https, and where redirections may lead."""

import gzip
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

import pytest

from beam_job.images.download import FetchError
from beam_job.images.fetch import Fetcher, FetchLimits
from tests.answers import answer, code, code_of, get
from tests.https_server import https_server
from tests.raw_server import RawServer

DATA = bytes(range(256)) * 400


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("https://[", "bad_uri"),
        ("https://[::1/a.jpg", "bad_uri"),
        ("https://", "bad_uri"),
        ("https://:9/a.jpg", "bad_uri"),
        ("https://example.com:port/a.jpg", "bad_uri"),
        ("https://example.com:99999/a.jpg", "bad_uri"),
        ("https://user:secret@example.com/a.jpg", "bad_uri"),
        ("https://user@example.com/a.jpg", "bad_uri"),
        ("//user:secret@example.com/a.jpg", "scheme_not_allowed"),  # the scheme is that of the test's server: http
        ("https://exa mple.com/a.jpg", "bad_uri"),
        ("https://*/a.jpg", "bad_uri"),
        ("https://\xff\xff/a.jpg", "bad_uri"),
        ("http://example.com/a.jpg", "scheme_not_allowed"),
        ("file:///etc/passwd", "scheme_not_allowed"),
        ("gs://bucket/a.jpg", "scheme_not_allowed"),
        ("javascript:alert(1)", "scheme_not_allowed"),
    ],
)
def test_a_redirection_to_somewhere_else(location, found):
    assert code(answer(f"Location: {location}", status="302 Found")) == found


def test_the_body_of_a_redirection_is_not_read():
    read = []

    def long(connection, _):
        connection.sendall(answer("Location: http://127.0.0.1/a.jpg", status="302 Found", body=b""))
        for _ in range(1_000):
            connection.sendall(bytes(100_000))
        read.append("all of it")

    with RawServer(long) as server, pytest.raises(FetchError) as raised:
        get(server)
    assert raised.value.code == "scheme_not_allowed"
    assert not read


def test_a_redirection_to_nowhere():
    assert code(answer(status="302 Found")) == "refused"


def test_https_takes_no_passwords_and_only_https():
    fetcher = Fetcher(FetchLimits(allow_https=True))
    assert code_of(fetcher, "https://user:secret@example.com/a.jpg") == "bad_uri"
    assert code_of(fetcher, "http://127.0.0.1/a.jpg") == "scheme_not_allowed"
    assert code_of(fetcher, "https://[::1/a.jpg") == "bad_uri"


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
    fetcher = Fetcher(FetchLimits(allow_https=True))
    assert fetcher.fetch(f"{web}/a.jpg") == DATA
    assert fetcher.fetch(f"{web}/to?{web}/a.jpg") == DATA
    assert fetcher.fetch(f"{web}/packed.jpg") == DATA
    assert code_of(fetcher, f"{web}/to?http://127.0.0.1/a.jpg") == "scheme_not_allowed"
    assert code_of(fetcher, f"{web}/to?file:///etc/passwd") == "scheme_not_allowed"
    assert code_of(fetcher, f"{web}/to?/to?/to?/to?/to?/to?/to?/a.jpg") == "refused"
    assert not any({"Authorization", "Cookie"} & set(headers) for headers in Web.heard)
    small = Fetcher(FetchLimits(max_bytes=len(DATA) - 1, allow_https=True))
    assert code_of(small, f"{web}/packed.jpg") == "too_large"


@pytest.mark.usefixtures("one_try")
def test_messages_hold_no_secrets():
    fetcher = Fetcher(FetchLimits(allow_https=True))
    with pytest.raises(FetchError) as raised:
        fetcher.fetch("https://127.0.0.1:9/a.jpg?X-Goog-Signature=secret")
    assert raised.value.code == "unavailable"
    assert "secret" not in raised.value.message
