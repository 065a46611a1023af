"""Bodies that come compressed, in pieces or without a length: whole or refused, and in bounded memory."""

import gzip
import random
import zlib

import pytest

from beam_job.images import gunzip
from beam_job.images.download import FetchError
from beam_job.images.gunzip import Gunzip, TooManyBytesError
from tests.answers import CHUNKED, DATA, answer, code, get, sent
from tests.memory import traced


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
        gzip.compress(DATA) + zlib.compress(DATA),
    ],
    ids=[
        "empty",
        "plain",
        "short",
        "no-trailer",
        "half",
        "wrong-length",
        "trailing",
        "second",
        "members",
        "zlib",
        "second-zlib",
    ],
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
        with pytest.raises(FetchError, match="Decompressed it is larger"):
            get(server, max_bytes=size)
        assert peak() < 1.2 * size


def test_a_body_of_no_announced_length_is_bounded():
    assert code(answer(), max_bytes=len(DATA) - 1) == "too_large"
    assert code(answer(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"), max_bytes=4) == "too_large"


def test_members_and_bytes_at_their_limits(monkeypatch):
    monkeypatch.setattr(gunzip, "_MOST_MEMBERS", 3)
    member = gzip.compress(b"ab")
    fits = Gunzip(6)
    for byte in member * 3:
        fits.write(bytes([byte]))
    assert fits.getvalue() == b"ababab"
    with pytest.raises(TooManyBytesError):
        Gunzip(5).write(member * 3)
    with pytest.raises(zlib.error, match="too many members"):
        Gunzip(9).write(member * 4)
    with pytest.raises(zlib.error, match="the body ends too early"):
        Gunzip(9).getvalue()
