"""Fetches the bytes of one image: from Cloud Storage, a local disk, or https if that is allowed."""

import errno
import io
import json
import logging
import os
import stat
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from urllib.parse import quote, urlencode

import google.auth
import requests
from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.requests import AuthorizedSession

from beam_job.images.bounded_calls import BoundedCalls, HangError
from beam_job.images.download import (
    Downloader,
    FetchError,
    FetchStats,
    anonymous_session,
    check_web_uri,
    generation_of,
    settled,
)
from beam_job.images.local_path import local_path
from beam_job.images.per_process import per_process

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_LISTING_BYTES = 64 << 20
_METADATA_BYTES = 1 << 20
_NOTHING_FOUND = "default credentials were not found"  # the same exception says that a file of credentials is broken
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO}

_PIECE = 1 << 20
# A fetch ends by itself at its deadline; one that hangs in the operating system is given up so many seconds later.
_PATIENCE = 5.0
_MOST_HANGING = 128  # threads, beside those that work


@dataclass(frozen=True)
class FetchLimits:
    """Limits for fetching one image.

    Attributes:
      max_bytes: maximum size of a file.
      seconds: for one image, including retries and waits; five more if the operating system hangs.
      allow_https: whether https:// URIs are fetched.
    """

    max_bytes: int = 100_000_000
    seconds: float = 60.0
    allow_https: bool = False


@per_process
def shared_fetcher(limits: FetchLimits, threads: int) -> "Fetcher":
    """The fetcher of this process with these limits; all threads share its connections."""
    return Fetcher(limits, threads)


class CredentialsError(RuntimeError):
    """The Google credentials do not work, so nothing on gs:// could be read and the job or export must fail."""


class Fetcher:
    """Fetches images, from many threads at once, with one request per object.

    Cloud Storage is read through its JSON API, with a session and a pool of persistent connections: Beam's own file
      system makes three requests per object, and ``storage.Client`` can limit neither the bytes nor the time of a body.
      ``STORAGE_EMULATOR_HOST`` is honoured. Without configured credentials public objects can still be read; if
      configured credentials do not work, fetching raises ``CredentialsError``.

    Args:
      threads: number of threads that fetch at the same time.
    """

    def __init__(self, limits: FetchLimits, threads: int = 1) -> None:
        self._limits = limits
        self._threads = threads
        self._lock = Lock()
        self._storage: Downloader | None = None
        self._anonymous = False
        self._calls = BoundedCalls(threads + _MOST_HANGING)
        self._web = Downloader(anonymous_session(), threads, redirects=True)

    def fetch(self, uri: str, stats: FetchStats | None = None) -> bytes:
        """Returns the whole content of ``uri``; adds retries and waits to ``stats``; raises ``FetchError``."""
        stats = FetchStats() if stats is None else stats
        try:
            return self._calls.call(lambda: self._fetch(uri, stats), self._limits.seconds + _PATIENCE)
        except HangError as error:
            message = f"Gave up {_PATIENCE:g} s after the deadline of {self._limits.seconds:g} s: {error}."
            raise FetchError("deadline_exceeded", message) from error

    def _fetch(self, uri: str, stats: FetchStats) -> bytes:
        scheme, separator, rest = uri.partition("://")
        if not uri or "\0" in uri:
            raise FetchError("bad_uri", "The URI is empty, or contains a zero byte.")
        if not separator:
            return self._read(uri, stats)
        if scheme == "gs":
            bucket, _, name = rest.partition("/")
            return self._get(f"/download/storage/v1/b/{_quoted(bucket)}/o/{_quoted(name)}?alt=media", stats)
        if scheme == "file":
            return self._read(_path(uri), stats)
        if scheme == "https" and self._limits.allow_https:
            check_web_uri(uri)
            return self._web.get(uri, max_bytes=self._limits.max_bytes, seconds=self._limits.seconds, stats=stats)
        hint = " without --allow_https" if scheme == "https" else "; use gs://, file:// or a path"
        raise FetchError("scheme_not_allowed", f"{ascii(scheme[:20])[1:-1]}:// is not supported{hint}.")

    def version(self, uri: str) -> str | None:
        """The current version of ``uri``: a stat on disks, one request for metadata on Cloud Storage.

        ``None`` if it is unknown, as for https. Raises ``FetchError``.
        """
        scheme, separator, rest = uri.partition("://")
        if scheme == "gs" and separator:
            bucket, _, name = rest.partition("/")
            path = f"/storage/v1/b/{_quoted(bucket)}/o/{_quoted(name)}?fields=generation"
            try:
                found = json.loads(self._get(path, FetchStats(), max_bytes=_METADATA_BYTES))
            except (ValueError, RecursionError) as error:
                raise FetchError("unavailable", "The server's answer about the object is no JSON.") from error
            return generation_of(found.get("generation")) if isinstance(found, dict) else None
        if separator and scheme != "file":
            return None
        try:
            status = self._calls.call(lambda: os.stat(_path(uri)), self._limits.seconds + _PATIENCE)
        except (HangError, OSError, ValueError) as error:
            raise FetchError("not_found", f"The file's status cannot be read ({type(error).__name__}).") from error
        return version_of_file(status)

    def objects(self, bucket: str, prefix: str) -> Iterator[tuple[str, int, str | None]]:
        """Names (in order), sizes and versions of the objects whose names start with ``prefix``.

        Raises ``FetchError``.
        """
        query = {"prefix": prefix, "fields": "items(name,size,generation),nextPageToken", "maxResults": "5000"}
        while True:
            path = f"/storage/v1/b/{_quoted(bucket)}/o?{urlencode(query)}"
            page = json.loads(self._get(path, FetchStats(), max_bytes=_LISTING_BYTES))
            yield from (
                (item["name"], int(item["size"]), generation_of(item.get("generation")))
                for item in page.get("items", [])
            )
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def _get(self, path: str, stats: FetchStats, max_bytes: int | None = None) -> bytes:
        with self._lock:
            if self._storage is None:
                self._storage = Downloader(settled(self._session(), _host()), self._threads)
        try:
            return self._storage.get(
                _host() + path,
                max_bytes=max_bytes or self._limits.max_bytes,
                seconds=self._limits.seconds,
                stats=stats,
            )
        except FetchError as error:
            if error.code == "permission_denied" and self._anonymous:
                raise FetchError(error.code, f"{error.message} No Google credentials were found.") from error
            raise

    def _session(self) -> requests.Session:
        if _emulator():
            return anonymous_session()
        try:
            # On Compute Engine it takes the machine's own, even where the metadata server does not answer just now.
            return AuthorizedSession(google.auth.default(scopes=[_SCOPE])[0])
        except Exception as error:  # besides its own errors those of files that cannot be opened or read
            none = isinstance(error, DefaultCredentialsError) and _NOTHING_FOUND in str(error)
            if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or not none:
                reason = error.args[0] if isinstance(error, DefaultCredentialsError) else error
                raise CredentialsError(
                    f"The configured Google credentials do not work ({reason}); correct "
                    "GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`."
                ) from error
        logging.warning("No Google credentials were found: gs:// is read anonymously.")
        self._anonymous = True
        return anonymous_session()

    def _read(self, path: str, stats: FetchStats) -> bytes:
        deadline = time.monotonic() + self._limits.seconds
        body = io.BytesIO()  # its value is no second copy
        try:
            _check_regular(os.stat(path))  # opening a pipe or a device does something to it
            with open(path, "rb", buffering=0, opener=_open) as file:
                status = os.fstat(file.fileno())
                _check_regular(status)
                self._check_size(status.st_size)
                stats.version = version_of_file(status)
                # The size that is told may be 0, as in /proc, or of an hour ago; a body of just that size is whole.
                while piece := file.read(_PIECE):
                    self._check_size(body.tell() + len(piece))
                    body.write(piece)
                    if body.tell() != status.st_size and time.monotonic() > deadline:
                        raise FetchError("deadline_exceeded", f"Deadline exceeded after {body.tell():,} bytes.")
                if piece is None:
                    raise FetchError("unavailable", "The file has nothing to read at the moment.")
                return body.getvalue()
        except PermissionError as error:
            raise FetchError("permission_denied", "This account lacks permission to read the file.") from error
        except UnicodeError as error:
            raise FetchError("bad_uri", "The path is not valid Unicode.") from error
        except OSError as error:
            code = "not_found" if error.errno in _NO_FILE else "unavailable"
            hint = _other_form(path) if code == "not_found" else ""
            raise FetchError(code, f"The file cannot be read ({error.strerror or error}).{hint}") from error

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_bytes:
            raise FetchError("too_large", f"It has {size:,} bytes, over the limit of {self._limits.max_bytes:,}.")


def version_of_file(status: os.stat_result) -> str:
    """The version of a local file, from its size and modification time."""
    return f"{status.st_size}-{status.st_mtime_ns}"


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FetchError("not_found", "This is not a regular file.")


def _other_form(path: str) -> str:
    """A hint at a file whose name looks the same: accented letters are written in two ways, which disks tell apart."""
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, path)
        if other != path and os.path.exists(other):
            return f" There is a file whose name is the same text in Unicode's form {form}; list that name."
    return ""


def _open(path: str, flags: int) -> int:
    """Opens a file; one that has become a pipe, too, without waiting for somebody to write into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _path(uri: str) -> str:
    try:
        return local_path(uri)
    except ValueError as error:
        raise FetchError("bad_uri", str(error)) from error


def _host() -> str:
    return _emulator() or "https://storage.googleapis.com"


def _emulator() -> str:
    """Where an emulator of Cloud Storage listens; empty where there is none."""
    host = os.environ.get("STORAGE_EMULATOR_HOST", "")
    return host if "://" in host or not host else f"http://{host}"


def _quoted(name: str) -> str:
    """A bucket's or an object's name for a URL. Names are what they are: ``%`` and ``#`` in a gs:// URI stand for
    themselves. There is no object ``..``, and in a URL it would stand for another path.
    """
    if name in ("", ".", ".."):
        raise FetchError("bad_uri", "An object's URI is gs://BUCKET/NAME, and neither part may be . or ..")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:
        raise FetchError("bad_uri", "The object's name is not valid Unicode.") from error
