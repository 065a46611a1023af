"""JSON documents and lines from untrusted sources."""

import json
import os
import stat
from contextlib import closing
from typing import Any, NoReturn

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

NO_PERMISSION = "cannot be read: this account lacks permission"
LINK = "is a symbolic link, which is not followed"

_DOCUMENT_BYTES = 64 << 20  # of run.json or manifest.json: 300,000 files are named in fewer
_DEPTH = 16  # of options within options


class UnreadableError(ValueError):
    """A file or folder that is not as the job writes it; the message says what is wrong with it."""


def read_document(path: str) -> dict[str, Any] | None:
    """A JSON object; ``None`` if there is no such file; raises ``UnreadableError``."""
    try:
        with closing(open_file(path)) as file:
            data = file.read(_DOCUMENT_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(data) > _DOCUMENT_BYTES:
        raise UnreadableError(f"has more than {_DOCUMENT_BYTES:,} bytes")
    try:
        found = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise UnreadableError("is not valid JSON") from error
    if not isinstance(found, dict):
        raise UnreadableError("is not a JSON object")
    if not is_shallow(found):
        raise UnreadableError("is nested too deeply")
    return found


def read_bytes(path: str) -> bytes | None:
    """What a file holds; ``None`` where there is none; raises ``UnreadableError``."""
    try:
        with closing(open_file(path)) as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None


def parse_line(line: bytes) -> Any:
    """The value of a line of JSON; raises ``ValueError``."""
    return _DECODER.decode(line.decode())


def open_file(path: str) -> Any:
    """Opens a file for reading bytes.

    Raises:
      FileNotFoundError: there is no such file.
      UnreadableError: it is not a file, or this account has no permission to read it.
    """
    try:
        if "://" not in path and not stat.S_ISREG(os.lstat(path).st_mode):  # a link would lead out of the folder
            raise UnreadableError("is not a regular file")
        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error
    except PermissionError as error:
        raise UnreadableError(NO_PERMISSION) from error
    except NotImplementedError as error:
        raise UnreadableError("uses a compression that Beam does not support") from error
    except Exception as error:  # Cloud Storage has errors of its own
        if getattr(error, "code", None) == 404:
            raise FileNotFoundError(path) from error
        if getattr(error, "code", None) == 403:
            raise UnreadableError(NO_PERMISSION) from error
        raise


def is_text(value: object) -> bool:
    """Whether it is a string that can be encoded as UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15


def is_shallow(value: object, depth: int = _DEPTH) -> bool:
    """Whether objects and arrays are not nested too deeply: deeper ones exceed Python's recursion limit."""
    if not isinstance(value, (dict, list)):
        return True
    return depth > 0 and all(
        is_shallow(inner, depth - 1) for inner in (value.values() if isinstance(value, dict) else value)
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
