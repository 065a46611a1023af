"""The bytes of one image, from Cloud Storage, a local disk or any other file system that Beam reads."""

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from google.api_core import exceptions
from google.cloud import storage


class FetchError(Exception):
    """An image whose bytes could not be had; ``code`` is short and stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Fetcher:
    """Fetches images; keeps one Cloud Storage client, and may be called from many threads.

    Beam's own file system makes three requests an object and a new client each time.
    """

    def __init__(self) -> None:
        self._client: storage.Client | None = None

    def fetch(self, uri: str) -> bytes:
        """Returns the whole content of ``uri``; raises ``FetchError``."""
        try:
            if uri.startswith("gs://"):
                return self._fetch_object(uri)
            if "://" in uri:
                with FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                    return bytes(file.read())
            with open(uri, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError, exceptions.NotFound) as error:
            raise FetchError("not_found", f"There is nothing at {uri}.") from error
        except IsADirectoryError as error:
            raise FetchError("not_found", f"{uri} is a directory, not a file.") from error
        except (PermissionError, exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise FetchError("permission_denied", f"{uri} may not be read by this account ({error}).") from error
        except Exception as error:  # whatever a file system raises, one image never stops the run
            raise FetchError("unavailable", f"{uri} could not be read ({type(error).__name__}: {error}).") from error

    def _fetch_object(self, uri: str) -> bytes:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        if not bucket or not name:
            raise FileNotFoundError(uri)
        return self._storage().bucket(bucket).blob(name).download_as_bytes()

    def _storage(self) -> storage.Client:
        if self._client is None:
            self._client = storage.Client()
        return self._client
