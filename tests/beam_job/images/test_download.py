"""Servers that answer slowly, wrongly or without end: each answer costs its own image, within the limits."""

import base64
import gzip
import logging
from datetime import UTC, datetime, timedelta

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.images.download import ERRORS, Downloader, FetchError, FetchStats, _seconds, anonymous_session, settled
from tests.answers import CHUNKED, DATA, answer, code, get, sent
from tests.clock import Clock
from tests.raw_server import RawServer


def dripping(start, drip):
    """A server that starts an answer, and goes on with ``drip`` again and again for about 20 s."""

    def endless(connection, _):
        connection.sendall(start)
        for _ in range(10_000):
            if server.stopped.wait(0.002):
                break
            connection.sendall(drip)

    server = RawServer(endless)  # which ``endless`` looks at
    return server


def test_no_cookie_is_sent_back():
    with sent(answer("Set-Cookie: visitor=1; Path=/")) as server:
        downloader = Downloader(anonymous_session(), 1, redirects=True)
        for _ in range(2):
            downloader.get(f"{server.url}/a.jpg", max_bytes=10**6, seconds=30.0, stats=FetchStats())
        assert len(server.requests) == 2
        assert not any(b"cookie" in request.lower() for request in server.requests)


# Time


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: x\r\n"),
    ],
    ids=["status", "header", "continue", "body", "chunk-size", "chunks", "trailers"],
)
def test_an_answer_without_end_ends_at_the_deadline(start, drip):
    """Any of them, without a deadline, would be over after some 20 s, and be whole or broken."""
    with dripping(start, drip) as server, pytest.raises(FetchError) as raised:
        get(server, seconds=0.3)
    assert raised.value.code == "deadline_exceeded"


def test_an_answer_without_end_of_a_proxy_ends_at_the_deadline(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with dripping(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x") as server:
        monkeypatch.setenv("http_proxy", server.url)
        downloader = Downloader(settled(anonymous_session(), "http://storage.example"), 1)
        with pytest.raises(FetchError) as raised:
            downloader.get("http://storage.example/a.jpg", max_bytes=10**6, seconds=0.3, stats=FetchStats())
        assert raised.value.code == "deadline_exceeded"
        assert b"http://storage.example/a.jpg" in server.first_request()


def test_a_server_that_falls_silent_is_asked_again(monkeypatch):
    monkeypatch.setattr("beam_job.images.connections._LONGEST_PAUSE", 0.05)
    monkeypatch.setattr("beam_job.images.download._FIRST_WAIT", 0.01)

    def silent_once(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        if len(server.requests) == 1:
            server.stopped.wait(300)
            return
        monkeypatch.setattr("beam_job.images.connections._LONGEST_PAUSE", 300)  # a busy machine may pause, too
        connection.sendall(answer().partition(b"\r\n")[2])

    stats = FetchStats()
    with RawServer(silent_once) as server:
        assert get(server, seconds=200, stats=stats) == DATA
    assert stats.retries >= 1


def test_a_body_that_came_whole_before_the_deadline_is_whole(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("beam_job.images.download.time", clock)

    def late(connection, _):
        clock.now += 10**6  # before the first byte, and still the body comes whole
        connection.sendall(answer(f"Content-Length: {len(DATA)}"))

    with RawServer(late) as server:
        assert get(server) == DATA


# Headers


@pytest.mark.parametrize(
    ("length", "found"),
    [
        ("-1", "refused"),
        ("-5000", "refused"),
        ("+5000", "refused"),
        ("5_000", "refused"),
        ("many", "refused"),
        ("", "refused"),
        ("5000, 4999", "refused"),
        ("5000.0", "refused"),
        ("\xb2", "refused"),
        ("\x1b[2J", "refused"),
        ("x" * 5_000, "refused"),
        ("9" * 5_000, "too_large"),
        ("9" * 25, "too_large"),
        ("1000001", "too_large"),
    ],
)
def test_a_length_that_is_none(length, found):
    assert code(answer(f"Content-Length: {length}")) == found


def test_lengths_that_contradict_each_other():
    assert code(answer("Content-Length: 5000", "Content-Length: 4999")) == "refused"


@pytest.mark.parametrize(
    "headers", [["Content-Length: 5000"] * 2, ["Content-Length: 0005000"], ["content-length:5000"], []]
)
def test_lengths_that_are_in_order(headers):
    with sent(answer(*headers)) as server:
        assert get(server) == DATA


@pytest.mark.parametrize(
    ("hashes", "found"),
    [
        ("crc32c=x", "refused"),
        ("crc32c=", "refused"),
        ("crc32c", "refused"),
        ("crc32c=\xe9\xe9\xe9\xe9", "refused"),
        ("crc32c=AAAA", "refused"),
        ("crc32c=" + "A" * 50_000, "refused"),
        ("crc32c=AAAAAA==", "unavailable"),
    ],
)
@pytest.mark.usefixtures("one_try")
def test_a_digest_that_is_none_or_another_ones(hashes, found):
    assert code(answer(f"X-Goog-Hash: {hashes}")) == found


@pytest.mark.parametrize("hashes", ["{}", "{},md5=x==", "md5=x==,{}", "md5=x==, {}", "{}, {}"])
@pytest.mark.usefixtures("one_try")
def test_a_digest_counts_wherever_it_stands(hashes):
    digest = base64.b64encode(google_crc32c.Checksum(DATA).digest()).decode()
    header = f"X-Goog-Hash: {hashes.replace('{}', f'crc32c={digest}')}"
    with sent(answer(header)) as server:
        assert get(server) == DATA
    assert code(answer(header, body=DATA[:-1] + b"x")) == "unavailable"


@pytest.mark.parametrize("header", ["gzip, chunked", "x", "", "chunked ", "chunked, chunked", "identity"])
def test_a_transfer_encoding_that_is_not_known(header):
    assert code(answer(f"Transfer-Encoding: {header}")) == "refused"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"5\r\nhello\r\n",
        b"5\r\nhel",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"x\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n" + b"0" * 70_000 + b"\r\n\r\n",
    ],
)
@pytest.mark.usefixtures("one_try")
def test_a_chunked_body_that_is_broken(body):
    assert code(answer(CHUNKED, body=body)) == "unavailable"


def test_a_chunked_body():
    whole = b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: x\r\n\r\n"
    with sent(answer(CHUNKED, "Content-Length: 3", body=whole)) as server:
        assert get(server) == b"hello world"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 9\r\n\r\nhello",
    ],
)
@pytest.mark.usefixtures("one_try")
def test_a_head_that_cannot_be_read(head):
    assert code(head) == "unavailable"


def test_odd_headers_are_not_logged_with_the_signature_of_a_url(caplog):
    headers = ["Content-Type: multipart/mixed", "Content-Length: 5000"]
    with caplog.at_level(logging.INFO), sent(answer(*headers)) as server:
        downloader = Downloader(anonymous_session(), 1)
        assert downloader.get(f"{server.url}/a?sig=secret", max_bytes=10**6, seconds=30, stats=FetchStats()) == DATA
    assert not caplog.text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        (" 7 ", 7),
        ("61", 60),
        ("9" * 5_000, 60),
        ("-1", 0),
        ("1.5", 0),
        ("soon", 0),
        ("Sat, 14 Mar 2026 02:00:09 GMT", 9),
        ("Sat, 14 Mar 2026 02:00:09 -0000", 9),
        ("Sat, 14 Mar 2026 03:00:09 +0100", 9),
        ("Sat, 14 Mar 2026 01:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 60),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("Sat, 99 Mar 2026 02:00:09 GMT", 0),
        ("Sat, 14 Mar 99999999999999999999 02:00:09 GMT", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(text, seconds):
    assert _seconds(text, datetime(2026, 3, 14, 2, 0, 0, tzinfo=UTC)) == seconds


def test_a_date_to_retry_after_is_waited_for(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("beam_job.images.download.time", clock)
    date = (datetime.now(UTC) + timedelta(days=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    stats = FetchStats()
    with sent(answer(f"Retry-After: {date}", status="503 Busy"), answer()) as server:
        assert get(server, seconds=600, stats=stats) == DATA
    assert clock.slept == [60]
    assert stats == FetchStats(1, 60)


# Headers broken at random


ANSWERS = [
    ("HTTP/1.1 200 OK", ["Content-Length: 5000", "X-Goog-Hash: crc32c=AAAAAA==,md5=x", "Date: Sat, 14 Mar 2026"]),
    ("HTTP/1.1 200 OK", ["Content-Type: text/html; charset=utf-8", "Content-Length: 5000", "Connection: close"]),
    ("HTTP/1.1 200 OK", ["Content-Encoding: gzip", "Set-Cookie: id=1; max-age=9; expires=x"]),
    ("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked", "Trailer: X"]),
    ("HTTP/1.1 302 Found", ["Location: https://[", "Content-Length: 0"]),
    ("HTTP/1.1 302 Found", ["Location: http://127.0.0.1/a.jpg"]),
    ("HTTP/1.1 503 Busy", ["Retry-After: 10", "Connection: keep-alive"]),
    ("HTTP/1.1 200 OK", ["Content-Length: " + "9" * 5_000, "Content-Type: image/jpeg"]),
    ("HTTP/1.1 404 Not Found", ["Content-Type: multipart/mixed; boundary"]),
]
VALUES = ["-1", "4999", "9" * 5_000, "chunked", "gzip", "br, gzip", "crc32c=x", "message/rfc822", "https://a:b@c/", "="]
text = st.text(st.characters(max_codepoint=255), max_size=20)
plain = st.sampled_from(sorted({header for _, headers in ANSWERS for header in headers}))
names = plain.map(lambda header: header.partition(":")[0])
odd = st.tuples(names | text, st.sampled_from([": ", "", ":", " :"]), st.sampled_from(VALUES) | text).map("".join)
line_ends = st.sampled_from([b"\r\n"] * 5 + [b"\n", b"\r", b"\0\r\n", b"\r\n ", b""])
bodies = st.sampled_from([DATA, b"", gzip.compress(DATA), b"5\r\nhello\r\n0\r\n\r\n"])


@st.composite
def broken_answers(draw):
    """An answer with some of its headers lost, others twice, odd ones among them, and perhaps an odd line end."""
    status, headers = draw(st.sampled_from(ANSWERS))
    headers = [header for header in headers if draw(st.integers(0, 5))] + draw(st.lists(plain | odd, max_size=3))
    lines = [status if draw(st.integers(0, 9)) else draw(text), *draw(st.permutations(headers))]
    end = draw(line_ends)
    return b"".join(line.encode("latin-1") + end for line in lines) + b"\r\n" + draw(bodies)


@pytest.mark.usefixtures("one_try")
def test_any_headers_give_the_body_or_a_documented_failure(caplog):
    found = set()

    @settings(max_examples=1_000)
    @given(broken_answers())
    def check(broken):
        server.answer = lambda connection, _: connection.sendall(broken)
        try:
            data = downloader.get(f"{server.url}/a.jpg", max_bytes=10**6, seconds=30, stats=FetchStats())
        except FetchError as error:
            found.add(error.code)
        else:
            assert isinstance(data, bytes)
            found.add("whole")

    with RawServer(None) as server:
        downloader = Downloader(anonymous_session(), 1, redirects=True)
        check()
    wanted = {"whole", "unavailable", "refused", "too_large", "bad_uri", "scheme_not_allowed", "not_found"}
    assert not caplog.text
    assert wanted <= found <= {"whole", *ERRORS}
