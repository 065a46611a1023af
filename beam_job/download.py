"""One whole body over HTTP: one request when all goes well, tried again when the network or the server falters."""

import base64
import itertools
import random
import time
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import google_crc32c
import requests
import urllib3
from google.auth.exceptions import GoogleAuthError, TransportError
from requests.adapters import HTTPAdapter

ERRORS = {
    "not_found": "There is nothing at the URI, or it is no regular file.",
    "permission_denied": "The job's account may not read it.",
    "too_large": "More bytes than --max_bytes.",
    "unavailable": "Still failing (408, 429, 5xx, broken connection, short or damaged body) after --fetch_deadline.",
    "deadline_exceeded": "Still arriving, or not yet answered, after --fetch_deadline.",
    "refused": "The server answered with an HTTP status that trying again does not change.",
    "bad_uri": "The URI cannot be read as one.",
    "scheme_not_allowed": "The URI's scheme is not gs, file or a plain path (nor https with --allow_https).",
}
"""Every code that a ``FetchError`` can have, and what it means."""

# Exponential back-off with full jitter: many workers that were turned away together do not come back together.
_FIRST_WAIT = 0.25  # seconds
_LONGEST_WAIT = 16.0
_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 10.0  # between two pieces of a body; by so much can a deadline be passed
_PIECE = 1 << 18
_MOST_REDIRECTS = 5
_TRANSIENT = {408, 429}  # and every 5xx
_REDIRECTS = {301, 302, 303, 307, 308}


class FetchError(Exception):
    """An image whose bytes could not be had; ``code`` is a key of ``ERRORS``. The text repeats no part of the URI."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass
class Effort:
    """What getting one image took: tries after the first, and the seconds spent waiting between tries."""

    retries: int = 0
    waited: float = 0.0


class _FalteredError(Exception):
    """A try that another one may mend; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, code: str = "unavailable", wait: float = 0.0) -> None:
        super().__init__(reason)
        self.code = code
        self.wait = wait


class Downloader:
    """Gets bodies through one session, which may be used from many threads.

    Args:
      session: sends the requests, with credentials or without.
      connections: kept open; as many as there are threads.
      redirects: whether to follow redirections, to https only.
    """

    def __init__(self, session: requests.Session, connections: int, redirects: bool = False) -> None:
        adapter = HTTPAdapter(pool_connections=connections, pool_maxsize=connections, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)  # an emulator on this machine
        self._session = session
        self._redirects = redirects

    def get(self, url: str, *, max_bytes: int, seconds: float, effort: Effort) -> bytes:
        """Returns the body of ``url``, complete and undamaged as far as the server lets us know.

        Args:
          max_bytes: a longer body is refused, before it is read where the server announces its length.
          seconds: for all tries together, waits included.
          effort: is added to.

        Raises:
          FetchError: there is no such body, or it could not be had in time.
        """
        started = time.monotonic()
        for tries in itertools.count(1):
            try:
                return self._try(url, max_bytes, started + seconds)
            except _FalteredError as error:
                wait = max(error.wait, random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**tries)))
                if time.monotonic() + wait >= started + seconds:
                    spent = time.monotonic() - started
                    message = f"Given up after {tries} tries in {spent:.1f} s; the last one: {error}."
                    raise FetchError(error.code, message) from error
                effort.retries += 1
                effort.waited += wait
                time.sleep(wait)
        raise AssertionError("unreachable")

    def _try(self, url: str, max_bytes: int, deadline: float) -> bytes:
        # Messages name the kind of an exception only: its text may repeat the URL with a signature, or a token.
        try:
            for _ in range(1 + _MOST_REDIRECTS):
                left = max(deadline - time.monotonic(), 0.1)
                response = self._session.get(
                    url,
                    stream=True,
                    timeout=(min(_CONNECT_TIMEOUT, left), min(_READ_TIMEOUT, left)),
                    allow_redirects=False,
                    headers={"Accept-Encoding": "gzip"},
                )
                with closing(response):
                    if response.status_code not in _REDIRECTS or not self._redirects:
                        return _body(response, max_bytes, deadline)
                url = urljoin(url, response.headers.get("Location", ""))
                if urlsplit(url).scheme != "https":
                    raise FetchError("scheme_not_allowed", "The server redirects to something that is not https.")
            raise FetchError("refused", f"The server redirects more than {_MOST_REDIRECTS} times.")
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise _FalteredError(f"no answer in time ({type(error).__name__})", "deadline_exceeded") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, TransportError) as error:
            raise _FalteredError(f"the connection broke ({type(error).__name__})") from error
        except GoogleAuthError as error:
            # On Compute Engine a metadata server that falters comes as a RefreshError that calls itself final.
            if error.retryable or isinstance(error.__cause__, TransportError):
                raise _FalteredError(f"no credentials could be had ({type(error).__name__})") from error
            raise FetchError("permission_denied", f"The credentials do not work ({type(error).__name__}).") from error
        except (requests.RequestException, urllib3.exceptions.LocationValueError, UnicodeError) as error:
            raise FetchError("bad_uri", f"No request can be made of this URI ({type(error).__name__}).") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _FalteredError(f"the connection broke ({type(error).__name__})") from error


def settled(session: requests.Session, url: str) -> requests.Session:
    """Reads proxies and certificates for ``url`` from the environment, once.

    requests would read all of the environment anew for each request, which takes a third of the request's time.
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


def _body(response: requests.Response, max_bytes: int, deadline: float) -> bytes:
    status = response.status_code
    if status in _TRANSIENT or status >= 500:
        raise _FalteredError(f"HTTP {status}", wait=_seconds(response.headers.get("Retry-After")))
    if status in (404, 410):
        raise FetchError("not_found", f"There is nothing there (HTTP {status}).")
    if status in (401, 403):
        raise FetchError("permission_denied", f"It may not be read by this account (HTTP {status}).")
    if status != 200:
        raise FetchError("refused", f"The server refuses the request (HTTP {status}).")
    announced = _length(response.headers)
    if announced is not None and announced > max_bytes:
        raise FetchError("too_large", f"It has {announced:,} bytes, over the limit of {max_bytes:,}.")
    body = bytearray()
    # read1 returns what has arrived, so that a body that trickles in cannot outlast the deadline.
    while piece := response.raw.read1(_PIECE, decode_content=False):
        body += piece
        if len(body) > max_bytes:
            raise FetchError("too_large", f"It has more than {max_bytes:,} bytes, the limit.")
        if time.monotonic() > deadline:
            raise FetchError("deadline_exceeded", f"After {len(body):,} bytes its time was over.")
    if announced is not None and len(body) != announced:
        raise _FalteredError(f"the body ended after {len(body):,} of {announced:,} bytes")
    _check_digest(response.headers, body)
    return _plain(bytes(body), response.headers.get("Content-Encoding", ""), max_bytes)


def _length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _check_digest(headers: Mapping[str, str], body: bytearray) -> None:
    """Cloud Storage sends the CRC-32C of what it stores: ``X-Goog-Hash: crc32c=n03x6A==,md5=...``."""
    for part in headers.get("X-Goog-Hash", "").split(","):
        name, _, digest = part.strip().partition("=")
        if name == "crc32c" and base64.b64decode(digest) != google_crc32c.value(bytes(body)).to_bytes(4, "big"):
            raise _FalteredError("the body does not match its CRC-32C")


def _plain(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding.lower() != "gzip":
        return body
    try:
        plain = zlib.decompressobj(wbits=31).decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise _FalteredError("the body is not the gzip that it says it is") from error
    if len(plain) > max_bytes:
        raise FetchError("too_large", f"Unpacked it has more than {max_bytes:,} bytes, the limit.")
    return plain


def _seconds(retry_after: str | None) -> float:
    """``Retry-After`` in seconds; its other form, a date, counts as none."""
    return min(float(retry_after), 60.0) if retry_after and retry_after.isdecimal() else 0.0
