"""Local paths of URIs: ``file:///photos/a%20b.jpg`` is ``/photos/a b.jpg``."""

import os
from urllib.parse import unquote_to_bytes

_SCHEME = "file://"


def local_path(name: str) -> str:
    """The path of a ``file://`` URI; any other name is returned unchanged. Raises ``ValueError``."""
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
        raise ValueError("The path contains a zero byte.")
    return found
