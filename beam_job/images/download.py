"""Gets a complete body over HTTP with one request, which is retried after temporary failures."""

import base64
import io
import itertools
import random
import re
import time
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import google_crc32c
import requests
import urllib3
from google.auth.exceptions import GoogleAuthError, TransportError

from beam_job.images.connections import TimedAdapter
from beam_job.images.gunzip import Gunzip, TooManyBytesError

ERRORS = {
    "not_found": "There is nothing at the URI, or it is not a regular file.",
    "permission_denied": "The job's account has no permission to read it.",
    "too_large": "The file is larger than --max_bytes.",
    "unavailable": "Each try within --fetch_deadline failed (HTTP 408, 429 or 5xx, broken connection, damaged body).",
    "deadline_exceeded": "There was no response, or an incomplete one, within --fetch_deadline.",
    "refused": "The server refused the request, or sent invalid headers; retrying does not help.",
    "bad_uri": "The URI, or the one that a server redirects to, is invalid or contains a password.",
    "scheme_not_allowed": "The URI is not a path, gs:// or file:// (or https:// with --allow_https).",
}
"""Every code that a ``FetchError`` can have, and what it means."""

# Exponential back-off with full jitter: many workers that were turned away together do not come back together.
_FIRST_WAIT = 0.25  # seconds
_LONGEST_WAIT = 16.0
_CONNECT_TIMEOUT = 10.0
_LONGEST_RETRY_AFTER = 60.0
_PIECE = 1 << 18
_MOST_REDIRECTS = 5
_TRANSIENT = {408, 429}  # and every 5xx
_CODINGS = {"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz"}
_REDIRECTS = {301, 302, 303, 307, 308}


class FetchError(Exception):
    """An image could not be fetched; ``code`` is a key of ``ERRORS``. The text contains no part of the URI."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass
class FetchStats:
    """Retries for one image, and the seconds spent waiting between them.

    ``version`` is the version of the fetched content, if it is known.
    """

    retries: int = 0
    waited: float = 0.0
    version: str | None = None


class _FalteredError(Exception):
    """A try that another one may mend; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, code: str = "unavailable", wait: float = 0.0) -> None:
        super().__init__(reason)
        self.code = code
        self.wait = wait


class Downloader:
    """Gets bodies through one session, which many threads may use.

    Args:
      session: sends the requests, with credentials or without.
      connections: number of connections to keep open; one for each thread.
      redirects: whether to follow redirects, to https only.
    """

    def __init__(self, session: requests.Session, connections: int, redirects: bool = False) -> None:
        adapter = TimedAdapter(connections)
        session.mount("https://", adapter)
        session.mount("http://", adapter)  # an emulator on this machine
        # requests would look where a redirection leads to, and read all of its body before that.
        session.get_redirect_target = lambda response: None  # type: ignore[method-assign, assignment]
        self._session = session
        self._redirects = redirects

    def get(self, url: str, *, max_bytes: int, seconds: float, stats: FetchStats) -> bytes:
        """Returns the body of ``url``, complete and undamaged as far as the server's headers show.

        Args:
          max_bytes: a longer body is refused, before it is read if the server announces its length.
          seconds: time limit for all tries together, including waits.
          stats: receives retries and waits.

        Raises:
          FetchError: there is no such body, or it could not be fetched in time.
        """
        started = time.monotonic()
        for tries in itertools.count(1):
            try:
                return self._try(url, max_bytes, started + seconds, stats)
            except _FalteredError as error:
                wait = max(error.wait, random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**tries)))
                if time.monotonic() + wait >= started + seconds:
                    spent = time.monotonic() - started
                    message = f"Gave up after {tries} {'try' if tries == 1 else 'tries'} in {spent:.1f} s: {error}."
                    raise FetchError(error.code, message) from error
                stats.retries += 1
                stats.waited += wait
                time.sleep(wait)
        raise AssertionError("unreachable")

    def _try(self, url: str, max_bytes: int, deadline: float, stats: FetchStats) -> bytes:
        # Messages name the kind of an exception only: its text may repeat the URL with a signature, or a token.
        try:
            for _ in range(1 + _MOST_REDIRECTS):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise FetchError("deadline_exceeded", "Deadline exceeded before the request was sent.")
                response = self._session.get(
                    url,
                    stream=True,
                    timeout=(min(_CONNECT_TIMEOUT, left), left),
                    allow_redirects=False,
                    headers={"Accept-Encoding": "gzip"},
                )
                with closing(response):
                    if response.status_code not in _REDIRECTS or not self._redirects:
                        body = _body(response, max_bytes)
                        stats.version = generation_of(response.headers.get("X-Goog-Generation"))
                        return body
                    url = _redirection(url, response.headers.get("Location"))
            raise FetchError("refused", f"The server redirects more than {_MOST_REDIRECTS} times.")
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise _FalteredError(f"no answer in time ({type(error).__name__})", "deadline_exceeded") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, TransportError) as error:
            raise _FalteredError(f"the connection broke ({type(error).__name__})") from error
        except GoogleAuthError as error:
            # On Compute Engine a metadata server that falters comes as a RefreshError that calls itself final.
            if error.retryable or isinstance(error.__cause__, TransportError):
                raise _FalteredError(f"no credentials could be obtained ({type(error).__name__})") from error
            raise FetchError("permission_denied", f"The credentials do not work ({type(error).__name__}).") from error
        except requests.exceptions.InvalidHeader as error:
            raise FetchError("refused", "The headers of the response contradict each other.") from error
        except (requests.RequestException, urllib3.exceptions.LocationValueError, UnicodeError) as error:
            raise FetchError("bad_uri", f"This URI cannot be requested ({type(error).__name__}).") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _FalteredError(f"the connection broke ({type(error).__name__})") from error


def check_web_uri(uri: str) -> None:
    """Raises ``FetchError`` if an https URI contains a password or is invalid."""
    try:
        parts = urlsplit(uri)
        named = parts.username is not None or parts.password is not None
    except ValueError as error:
        raise FetchError("bad_uri", "This URI cannot be requested.") from error
    if named:
        raise FetchError("bad_uri", "A URI that contains a user name or a password is not fetched.")
    if re.search(r"[\x00-\x1f\x7f]", uri):
        raise FetchError("bad_uri", "A URI that contains control characters is not fetched.")


def settled(session: requests.Session, url: str) -> requests.Session:
    """Reads proxies and certificates for ``url`` from the environment, once.

    Otherwise requests would read the environment for each request, which takes a third of the request's time.
    """
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
    session.trust_env = False
    return session


def anonymous_session() -> requests.Session:
    """A session that sends no credentials to anyone, whatever ~/.netrc holds, and keeps no cookies."""
    session = requests.Session()
    session.auth = lambda request: request
    session.cookies.set_policy(requests.cookies.cookielib.DefaultCookiePolicy(allowed_domains=[]))
    return session


def _redirection(url: str, location: str | None) -> str:
    if location is None:
        raise FetchError("refused", "The server redirects without giving a target.")
    try:
        target = urljoin(url, location.encode("latin-1").decode())
        scheme = urlsplit(target).scheme
    except ValueError as error:
        raise FetchError("bad_uri", "The server redirects to something that is not a URI.") from error
    if scheme != "https":
        raise FetchError("scheme_not_allowed", "The server redirects to something that is not https.")
    check_web_uri(target)
    return target


def _body(response: requests.Response, max_bytes: int) -> bytes:
    status = response.status_code
    if status in _TRANSIENT or status >= 500:
        raise _FalteredError(f"HTTP {status}", wait=_seconds(response.headers.get("Retry-After"), datetime.now(UTC)))
    if status in (404, 410):
        raise FetchError("not_found", f"There is nothing there (HTTP {status}).")
    if status in (401, 403):
        raise FetchError("permission_denied", f"This account lacks permission to read it (HTTP {status}).")
    if status != 200:
        raise FetchError("refused", f"The server refuses the request (HTTP {status}).")
    announced, digests = _length(response.headers), _digests(response.headers)
    if announced is not None and announced > max_bytes:
        raise FetchError("too_large", f"It has {announced:,} bytes, over the limit of {max_bytes:,}.")
    packed = _is_gzip(response.headers)
    body = Gunzip(max_bytes) if packed else io.BytesIO()  # getvalue of either makes no second copy
    checksum, received = google_crc32c.Checksum(), 0
    try:
        while piece := response.raw.read1(_PIECE, decode_content=False):
            received += len(piece)
            if received > max_bytes:
                raise FetchError("too_large", f"It is larger than the limit of {max_bytes:,} bytes.")
            checksum.update(piece)
            body.write(piece)
        if announced is not None and received != announced:
            raise _FalteredError(f"the body ended after {received:,} of {announced:,} bytes")
        if digests - {checksum.digest()}:
            raise _FalteredError("the body does not match its CRC-32C")
        return body.getvalue()
    except TooManyBytesError as error:
        raise FetchError("too_large", f"Decompressed it is larger than the limit of {max_bytes:,} bytes.") from error
    except zlib.error as error:
        raise _FalteredError("the body is not a complete gzip stream") from error


def _length(headers: Mapping[str, str]) -> int | None:
    """The body's length, where the server announces one."""
    coding = headers.get("Transfer-Encoding")
    if coding is not None:
        if coding.lower() != "chunked":  # a space behind it, and http.client would take the marks for content
            raise FetchError("refused", f"The server's Transfer-Encoding is not supported ({coding[:40]!a}).")
        return None
    announced = headers.get("Content-Length")
    if announced is None:
        return None
    lengths = {length.strip() for length in announced.split(",")}
    length = lengths.pop()
    if lengths or not re.fullmatch("[0-9]+", length):
        raise FetchError("refused", f"The server's Content-Length is invalid ({announced[:40]!a}).")
    # Python reads no number of thousands of digits; twenty of them are over any limit.
    return int(length.lstrip("0")[:20] or "0")


def _is_gzip(headers: Mapping[str, str]) -> bool:
    """Whether the body is compressed by gzip, which is all that was asked for. Words that mean nothing are ignored."""
    found = headers.get("Content-Encoding", "")
    codings = [coding.strip().lower() for coding in found.split(",")]
    if codings in (["gzip"], ["x-gzip"]):
        return True
    if not _CODINGS.isdisjoint(codings):
        raise FetchError("refused", f"The server used a compression that was not requested ({found[:40]!a}).")
    return False


def generation_of(told: object) -> str | None:
    """The generation of an object, as Cloud Storage tells it: a new one for each content. ``None`` for what is none."""
    return told if isinstance(told, str) and re.fullmatch("[0-9]{1,20}", told) else None


def _digests(headers: Mapping[str, str]) -> set[bytes]:
    """Cloud Storage sends the CRC-32C of what it stores: ``X-Goog-Hash: crc32c=n03x6A==,md5=...``."""
    found = set()
    for part in headers.get("X-Goog-Hash", "").split(","):
        name, _, text = part.strip().partition("=")
        if name == "crc32c":
            try:
                digest = base64.b64decode(text, validate=True)
            except ValueError:
                digest = b""
            if len(digest) != 4:
                raise FetchError("refused", f"The server's CRC-32C is invalid ({text[:40]!a}).")
            found.add(digest)
    return found


def _seconds(retry_after: str | None, now: datetime) -> float:
    """``Retry-After`` in seconds from ``now``: a number of them, or a date. What is neither counts as none."""
    text = (retry_after or "").strip()
    if re.fullmatch("[0-9]+", text):
        return min(float(text), _LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return min(max(wait.total_seconds(), 0.0), _LONGEST_RETRY_AFTER)
