"""The objects of a bucket, page by page: as few pages as what is asked for needs."""

from collections.abc import Iterator, Sequence
from itertools import islice

from beam_job.images.download import FetchError
from beam_job.images.fetch import FetchLimits, shared_fetcher


class ListingError(RuntimeError):
    """A bucket cannot be listed; the message says why."""


def objects(bucket: str, prefix: str, *, is_whole: bool = False) -> Iterator[tuple[str, int, str | None]]:
    """Name, size in bytes and generation of each object whose name starts with ``prefix``, in the order of the names.

    Args:
      is_whole: the prefix is a whole name, and only the object of that name is meant.

    Raises:
      ListingError: the bucket cannot be listed.
    """
    try:
        found = shared_fetcher(FetchLimits(), threads=1).objects(bucket, prefix)
        if is_whole:  # it comes first, before all names that go on
            found = (item for item in islice(found, 1) if item[0] == prefix)
        yield from found
    except FetchError as error:
        reasons = {
            "not_found": f"There is no bucket {bucket}.",
            "permission_denied": f"No permission to list the bucket {bucket}. {error.message}",
        }
        raise ListingError(reasons.get(error.code, f"The bucket {bucket}: {error.message}")) from error


def exists(bucket: str, names: Sequence[str], last: bool) -> bool:
    """Whether there is a folder at a path of names; an object, where ``last`` is true."""
    path = "/".join(names)
    found = objects(bucket, path, is_whole=True) if last else objects(bucket, f"{path}/")
    return next(found, None) is not None
