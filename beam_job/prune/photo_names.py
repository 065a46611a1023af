"""Names of photos: a set of them, as digests, and the two names of a photo in a moved archive."""

from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b

from beam_job.images.local_path import local_path


class PhotoNames:
    """Names of photos, 16 bytes each and what a set needs: about 100 bytes.

    Args:
      renamed: (old, new) beginnings of names of a moved archive: a photo is meant under either name.
    """

    def __init__(self, renamed: tuple[str, str] | None = None) -> None:
        self._digests: set[bytes] = set()
        self.renamed = renamed

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, uri: str) -> bool:
        """Adds a photo; returns whether it is new."""
        digest = _digest(uri)
        if digest in self._digests:
            return False
        self._digests.add(digest)
        return True

    def __contains__(self, uri: str) -> bool:
        return any(_digest(name) in self._digests for name in names_of(uri, self.renamed))


def names_of(uri: str, renamed: tuple[str, str] | None) -> Iterator[str]:
    """The names of a photo: its own, and the one that it has in the other place of a moved archive."""
    yield uri
    for old, new in (renamed, renamed[::-1]) if renamed else ():
        if uri.startswith(old):
            yield new + uri[len(old) :]


def present_name(uri: str, renamed: tuple[str, str] | None) -> str:
    """The name under which a photo is found now."""
    old, new = renamed or ("", "")
    return new + uri[len(old) :] if old and uri.startswith(old) else uri


def _digest(uri: str) -> bytes:
    """``/photos/cat.jpg`` and ``file:///photos/cat.jpg`` are one photo."""
    with suppress(ValueError):
        uri = local_path(uri)
    return blake2b(uri.encode("utf-8", "surrogatepass"), digest_size=16).digest()
