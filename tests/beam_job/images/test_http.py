"""Servers that answer slowly, wrongly or without end: each answer costs its own image, within the limits."""

import gzip
import logging
import random
import zlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.images.fetch import Fetcher, FetchLimits
from beam_job.images.http import ERRORS, Downloader, FetchError, FetchStats, _seconds, anonymous_session, settled
from tests.memory import traced
from tests.raw_server import RawServer

DATA = random.Random(5).randbytes(5_000)
NEVER = 10**6  # seconds that no test waits


def answer(*headers, body=DATA, status="200 OK"):
    return b"\r\n".join([f"HTTP/1.1 {status}".encode(), *(header.encode("latin-1") for header in headers), b"", body])


def sent(*answers):
    """A server that sends each of its answers once, in order, and the last one for good."""
    left = list(answers)
    return RawServer(lambda connection, _: connection.sendall(left.pop(0) if len(left) > 1 else left[0]))


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


@pytest.fixture
def one_try(monkeypatch):
    """The first wait would pass any deadline."""
    monkeypatch.setattr("beam_job.images.http.random", SimpleNamespace(uniform=lambda *_: NEVER))


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
    assert b"http://storage.example/a.jpg" in server.requests[0]


def test_a_server_that_falls_silent_is_asked_again(monkeypatch):
    monkeypatch.setattr("beam_job.images.connections._LONGEST_PAUSE", 0.05)
    monkeypatch.setattr("beam_job.images.http._FIRST_WAIT", 0.01)

    def silent_once(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        if len(server.requests) == 1:
            server.stopped.wait(60)
        connection.sendall(answer().partition(b"\r\n")[2])

    stats = FetchStats()
    with RawServer(silent_once) as server:
        assert get(server, stats=stats) == DATA
    assert stats.retries >= 1


def test_a_body_that_came_whole_before_the_deadline_is_whole(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("beam_job.images.http.time", SimpleNamespace(monotonic=lambda: now[0]))

    def late(connection, _):
        now[0] = NEVER  # before the first byte, and still the body comes whole
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


@pytest.mark.parametrize("header", ["gzip, chunked", "x", "", "chunked ", "chunked, chunked", "identity"])
def test_a_transfer_encoding_that_is_not_known(header):
    assert code(answer(f"Transfer-Encoding: {header}")) == "refused"


CHUNKED = "Transfer-Encoding: chunked"


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
    slept = []
    now = [100.0]

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("beam_job.images.http.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    date = (datetime.now(UTC) + timedelta(days=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    stats = FetchStats()
    with sent(answer(f"Retry-After: {date}", status="503 Busy"), answer()) as server:
        assert get(server, seconds=600, stats=stats) == DATA
    assert slept == [60]
    assert stats == FetchStats(1, 60)


# gzip


def packed(body, max_bytes=10**6):
    with sent(answer("Content-Encoding: gzip", f"Content-Length: {len(body)}", body=body)) as server:
        return get(server, max_bytes=max_bytes)


def test_a_gzip_body_of_one_member_or_more():
    assert packed(gzip.compress(DATA)) == DATA
    assert packed(gzip.compress(DATA[:3]) + gzip.compress(b"") + gzip.compress(DATA[3:])) == DATA


@pytest.mark.parametrize(
    "body",
    [
        b"",
        DATA,
        gzip.compress(DATA)[:-1],
        gzip.compress(DATA)[:-8],
        gzip.compress(DATA)[:100],
        gzip.compress(DATA)[:-1] + b"x",
        gzip.compress(DATA) + b"x",
        gzip.compress(DATA) + gzip.compress(DATA)[:-1],
        gzip.compress(b"") * 10_001,
        zlib.compress(DATA),
    ],
    ids=["empty", "plain", "short", "no-trailer", "half", "wrong-length", "trailing", "second", "members", "zlib"],
)
@pytest.mark.usefixtures("one_try")
def test_a_gzip_body_that_is_not_whole_is_damaged(body):
    assert code(answer("Content-Encoding: gzip", f"Content-Length: {len(body)}", body=body)) == "unavailable"


@pytest.mark.parametrize("coding", ["br", "Deflate", "gzip, gzip", "identity, zstd", "compress"])
def test_a_body_that_is_packed_as_nobody_asked(coding):
    assert code(answer(f"Content-Encoding: {coding}")) == "refused"


@pytest.mark.parametrize("coding", ["", "identity", "none", "utf-8", "binary"])
def test_a_coding_that_is_none(coding):
    with sent(answer(f"Content-Encoding: {coding}")) as server:
        assert get(server) == DATA


def test_a_gzip_body_that_unpacks_to_too_much():
    assert code(answer("Content-Encoding: gzip", body=gzip.compress(bytes(10**7)))) == "too_large"
    assert packed(gzip.compress(bytes(10**6))) == bytes(10**6)


# Memory


@pytest.mark.parametrize("header", ["X: plain", "Content-Encoding: gzip", CHUNKED])
def test_a_body_is_held_once(header):
    size = 50_000_000
    body = random.Random(5).randbytes(size)
    if "gzip" in header:
        body = gzip.compress(body, 1)
    if header == CHUNKED:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    with sent(answer(header, body=body)) as server, traced() as peak:
        assert len(get(server, max_bytes=2 * size)) == size
        assert peak() < 1.2 * size


def test_a_small_body_that_unpacks_to_very_much_takes_no_more_than_the_limit():
    size = 50_000_000
    bomb = gzip.compress(bytes(4 * size))
    with sent(answer("Content-Encoding: gzip", body=bomb)) as server, traced() as peak:
        with pytest.raises(FetchError, match="Unpacked it has more"):
            get(server, max_bytes=size)
        assert peak() < 1.2 * size


def test_a_body_of_no_announced_length_is_bounded():
    assert code(answer(), max_bytes=len(DATA) - 1) == "too_large"
    assert code(answer(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"), max_bytes=4) == "too_large"


# Names in the request


@pytest.fixture(scope="module")
def storage():
    with sent(answer("Content-Length: 0", body=b"")) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server, Fetcher(FetchLimits())


def paths(storage, uri):
    """What the server was asked for."""
    server, fetcher = storage
    server.requests.clear()
    fetcher.fetch(uri)
    return [request.split(b" ", 2)[1] for request in server.requests]


PREFIX = b"/download/storage/v1/b/"
odd_parts = st.sampled_from(["..", ".", "/", "\\", "%2e", "%2F", "#", "?", "a", ";", "\n", "\r", " "])
object_names = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20),
    st.lists(odd_parts, min_size=1).map("".join),
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(object_names.map(lambda name: name.replace("/", "")), object_names)
def test_any_name_is_asked_for_as_it_is(storage, bucket, name):
    if bucket in ("", ".", "..") or name in (".", ".."):
        with pytest.raises(FetchError) as raised:
            storage[1].fetch(f"gs://{bucket}/{name}")
        assert raised.value.code == "bad_uri"
        return
    (path,) = paths(storage, f"gs://{bucket}/{name}")
    assert path.startswith(PREFIX)
    assert path.endswith(b"?alt=media")
    parts = path.removeprefix(PREFIX).removesuffix(b"?alt=media").split(b"/")
    assert [unquote_to_bytes(part) for part in parts] == [bucket.encode(), b"o", name.encode()]


@pytest.mark.parametrize("uri", ["gs://../a.jpg", "gs://./a.jpg", "gs://photos/..", "gs://photos/.", "gs://../.."])
def test_dots_alone_are_no_names(storage, uri):
    with pytest.raises(FetchError) as raised:
        paths(storage, uri)
    assert raised.value.code == "bad_uri"


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

    @settings(max_examples=2_000, deadline=None, derandomize=True, database=None)
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
