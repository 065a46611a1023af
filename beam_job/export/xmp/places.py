"""Sidecars on disks and on Cloud Storage: reading, replacing and deleting them.

A file is replaced or deleted only if it has not changed since it was read. On Cloud Storage the service guarantees
this; on a disk the file is read again first.
"""

import functools
import os
import shutil
from contextlib import suppress
from threading import Lock
from typing import Any, NamedTuple, Protocol

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from requests.adapters import HTTPAdapter

from beam_job.export.leftovers import unfinished
from beam_job.export.xmp.credentials import may_pass, no_credentials
from beam_job.export.xmp.packet import MAX_BYTES
from beam_job.images.fetch import CredentialsError
from beam_job.images.local_path import local_path

ADOBE, FULL = "adobe", "full"
CHANGED = "changed_meanwhile"
THREADS = 16  # that wait for disks and for Cloud Storage
_XMP = "application/rdf+xml"
_making = Lock()


class PlaceError(Exception):
    """A sidecar that cannot be read or written; ``code`` is stable, the message is a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Found(NamedTuple):
    """A file's bytes, and what is needed to check that it has not changed."""

    data: bytes
    version: Any


class Place(Protocol):
    """Files by their paths. Methods raise ``PlaceError``; ``write`` and ``delete`` also if a file has changed."""

    def exists(self, path: str) -> bool: ...
    def read(self, path: str) -> Found | None: ...
    def write(self, path: str, data: bytes, before: Found | None) -> None: ...
    def delete(self, path: str, before: Found) -> None: ...


def photo_path(uri: str) -> str | None:
    """The path of a photo that can have a sidecar; ``None`` for https and the like. Raises ``PlaceError``."""
    if "\0" in uri or not uri:
        raise PlaceError("bad_uri", "The URI is empty, or contains a zero byte.")
    try:
        path = local_path(uri)
    except ValueError as error:
        raise PlaceError("bad_uri", str(error)) from error
    if "://" not in path:
        return os.path.normpath(path)
    return path if path.startswith("gs://") else None


def sidecar_path(photo: str, kind: str) -> str:
    """``photo.xmp`` (ADOBE) or ``photo.jpg.xmp`` (FULL)."""
    if kind == FULL:
        return f"{photo}.xmp"
    folder, slash, name = photo.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else name}.xmp"


def place_of(path: str) -> Place:
    """The place for a path from ``photo_path``; raises what its methods raise."""
    if not path.startswith("gs://"):
        return _DISK
    with _making:
        found = _bucket()
    if isinstance(found, CredentialsError):
        raise found
    return found


@functools.cache
def _bucket() -> "CloudStorage | CredentialsError":
    try:
        client = storage.Client(project="unused")
        for scheme in ("https://", "http://"):  # its own pool is of ten connections, and it warns of each beyond them
            client._http.mount(scheme, HTTPAdapter(pool_maxsize=THREADS))  # noqa: SLF001
    except Exception as error:  # besides its own errors those of files that cannot be opened or read
        if may_pass(error):
            raise _unavailable(error) from error
        return no_credentials(error)  # kept: off Google Cloud it takes seconds to find none
    return CloudStorage(client)


def folder_of(path: str) -> str | None:
    """The folder on a disk in which a sidecar is written; ``None`` for what is not on a disk."""
    if "\0" in path or path.startswith("gs://"):
        return None
    return os.path.dirname(os.path.realpath(path) if os.path.islink(path) else path) or "."


class Disk:
    """Local files. Links are followed: the file behind a link is replaced, and keeps its permissions."""

    def exists(self, path: str) -> bool:
        return os.path.isfile(path)

    def read(self, path: str) -> Found | None:
        try:
            if not os.path.lexists(path):
                return None
            if not os.path.isfile(path):
                raise PlaceError("not_a_file", "The sidecar's path is not a file.")
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _failed(error) from error
        return Found(data, None)

    def write(self, path: str, data: bytes, before: Found | None) -> None:
        target = os.path.realpath(path)
        try:
            with unfinished(target) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                if before is None:
                    _move_to_free_name(file.name, target)
                else:
                    self._check(path, before)
                    _copy_owner(target, file.name)
                    os.replace(file.name, target)
        except FileExistsError as error:
            raise _changed() from error
        except OSError as error:
            raise _failed(error) from error

    def delete(self, path: str, before: Found) -> None:
        try:
            self._check(path, before)
            os.unlink(path)
        except OSError as error:
            raise _failed(error) from error

    def _check(self, path: str, before: Found) -> None:
        if self.read(path) != before:
            raise _changed()


class CloudStorage:
    """Objects on gs://. Methods raise ``CredentialsError``, too: without credentials that work the export must end."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def exists(self, path: str) -> bool:
        return self._call(lambda: self._blob(path).exists())

    def read(self, path: str) -> Found | None:
        def read() -> Found | None:
            blob = self._blob(path)
            found = blob.bucket.get_blob(blob.name)
            if found is None:
                return None
            if found.size > MAX_BYTES:
                return Found(bytes(MAX_BYTES + 1), found.generation)
            try:
                data = self._blob(path).download_as_bytes(raw_download=True, if_generation_match=found.generation)
            except exceptions.NotFound as error:
                raise _changed() from error
            return Found(data, found.generation)

        return self._call(read)

    def write(self, path: str, data: bytes, before: Found | None) -> None:
        generation = before.version if before else 0
        self._call(lambda: self._blob(path).upload_from_string(data, _XMP, if_generation_match=generation))

    def delete(self, path: str, before: Found) -> None:
        def delete() -> None:
            try:
                self._blob(path).delete(if_generation_match=before.version)
            except exceptions.NotFound as error:
                raise _changed() from error

        self._call(delete)

    def _blob(self, path: str) -> Any:
        bucket, _, name = path.removeprefix("gs://").partition("/")
        return self._client.bucket(bucket).blob(name)

    def _call(self, function: Any) -> Any:
        try:
            return function()
        except GoogleAuthError as error:  # before ValueError and OSError, which some of these are, too
            raise (_unavailable(error) if may_pass(error) else no_credentials(error)) from error
        except exceptions.PreconditionFailed as error:
            raise _changed() from error
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise PlaceError("permission_denied", "This account has no permission to read or write it.") from error
        except (exceptions.NotFound, exceptions.BadRequest, ValueError) as error:
            raise PlaceError("cannot_access", f"Cloud Storage refuses access: {str(error)[:200]}.") from error
        except (exceptions.GoogleAPIError, OSError) as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> PlaceError:
    return PlaceError("unavailable", f"Cloud Storage cannot be reached: {str(error)[:200]}.")


def _move_to_free_name(file: str, target: str) -> None:
    """Moves a file; raises ``FileExistsError`` where there is one by that name."""
    try:
        os.link(file, target)
    except FileExistsError:
        raise
    except OSError:  # memory cards and some network drives have no hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.replace(file, target)


def _copy_owner(source: str, target: str) -> None:
    """Gives a file the permissions and, where that is allowed, the owner of another."""
    about = os.stat(source)
    with suppress(OSError):
        os.chown(target, about.st_uid, about.st_gid)
    with suppress(OSError):  # memory cards have no permissions
        shutil.copymode(source, target)


def _changed() -> PlaceError:
    return PlaceError(CHANGED, "Another program changed the sidecar while it was being read; export again.")


def _failed(error: OSError) -> PlaceError:
    if isinstance(error, PermissionError) or error.strerror == "Read-only file system":
        return PlaceError(
            "permission_denied", f"This account has no permission to read or write it ({error.strerror})."
        )
    return PlaceError("cannot_access", f"It cannot be read or written: {error.strerror}.")


_DISK = Disk()
