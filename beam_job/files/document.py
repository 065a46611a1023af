"""JSON that anybody may have written: documents and lines, read without trusting them."""

import json
import os
import stat
from contextlib import closing
from typing import Any, NoReturn

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

_DOCUMENT_BYTES = 64 << 20  # of run.json or manifest.json: 300,000 files are named in fewer
_DEPTH = 16  # of options within options


class UnreadableError(ValueError):
    """A file or a folder that is not as the job writes it; the message says what is wrong with it."""


def read_document(path: str) -> dict[str, Any] | None:
    """A JSON object; ``None`` where there is no such file; raises ``UnreadableError``."""
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
    if not isinstance(found, dict) or not is_shallow(found):
        raise UnreadableError("is no run's")
    return found


def parse_line(line: bytes) -> Any:
    """What a line of JSON holds; raises ``ValueError``."""
    return _DECODER.decode(line.decode())


def open_file(path: str) -> Any:
    """Opens a file for reading bytes.

    Raises:
      FileNotFoundError: there is none.
      UnreadableError: what is there is no file, or this account may not read it.
    """
    try:
        if "://" not in path and not stat.S_ISREG(os.lstat(path).st_mode):  # a link would lead out of the folder
            raise UnreadableError("is no regular file")
        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error
    except PermissionError as error:
        raise UnreadableError("cannot be read: this account lacks permission") from error
    except NotImplementedError as error:
        raise UnreadableError("is compressed in a way that Beam does not read") from error
    except Exception as error:  # Cloud Storage has errors of its own
        if getattr(error, "code", None) == 404:
            raise FileNotFoundError(path) from error
        if getattr(error, "code", None) == 403:
            raise UnreadableError("cannot be read: this account lacks permission") from error
        raise


def is_text(value: object) -> bool:
    """Whether it is a string that can be written as UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: object) -> bool:
    """Whether it is a number that can be computed with."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15


def is_shallow(value: object, depth: int = _DEPTH) -> bool:
    """Whether objects and arrays are nested at most so deep: deeper ones end Python's own recursion."""
    if not isinstance(value, (dict, list)):
        return True
    return depth > 0 and all(
        is_shallow(inner, depth - 1) for inner in (value.values() if isinstance(value, dict) else value)
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
