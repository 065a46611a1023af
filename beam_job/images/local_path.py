"""Local files named by URIs: ``file:///photos/a%20b.jpg`` is ``/photos/a b.jpg``."""

import os
from urllib.parse import unquote_to_bytes

_SCHEME = "file://"


def local_path(name: str) -> str:
    """The path that a ``file://`` URI names; any other name as it is. Raises ``ValueError``."""
    if name[: len(_SCHEME)].lower() != _SCHEME:
        return name
    host, slash, path = name[len(_SCHEME) :].partition("/")
    if host not in ("", "localhost"):
        raise ValueError("A local file's URI is file:///PATH, without a host.")
    try:
        found = os.fsdecode(unquote_to_bytes(slash + path))
    except UnicodeError as error:
        raise ValueError("The path is not valid Unicode.") from error
    if "\0" in found:
        raise ValueError("The path holds a zero byte.")
    return found
