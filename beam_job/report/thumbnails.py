"""Thumbnails of the images on the page, as data URIs."""

import base64
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from beam_job.images.decoders import shared_decoders
from beam_job.images.download import FetchError
from beam_job.images.fetch import Fetcher, FetchLimits
from beam_job.images.pixels import MAX_PIXELS, ImageError

_THREADS = 8
_SECONDS = 10.0  # to fetch a picture, and of CPU time to decode it: the page is not worth more
_MEMORY = 2 << 30  # bytes to decode one
_QUALITY = 62  # of WebP: a few kilobytes a picture
_LEAST_SIDE = 64  # pixels


def thumbnails(
    images: Sequence[tuple[str, int, int]],
    longer_side: int,
    allow_https: bool = False,
    quality: int = _QUALITY,
    most_bytes: int | None = None,
) -> Iterator[tuple[str | None, str]]:
    """Fetches images by their URIs and shrinks them, keeping their aspect ratio.

    Args:
      images: (URI, width, height) of each, from its record.
      longer_side: of the thumbnail, in pixels; small images are not enlarged.
      allow_https: whether https:// URIs are fetched.
      quality: of WebP, 0 to 100.
      most_bytes: maximum size of a picture; a larger one is halved until it fits.

    Yields:
      For each image, in order, a data URI and "", or None and a sentence that says why there is none.
    """
    fetcher = Fetcher(FetchLimits(seconds=_SECONDS, allow_https=allow_https), _THREADS)
    decoders = shared_decoders()

    def make(image: tuple[str, int, int]) -> tuple[str | None, str]:
        uri, width, height = image
        scale = min(1.0, longer_side / max(width, height, 1))
        size = max(round(height * scale), 1), max(round(width * scale), 1)
        try:
            data = fetcher.fetch(uri)
            with decoders.turn() as decoder:
                array = decoder.decode(
                    data, *size, max_pixels=MAX_PIXELS, accept_truncated=False, seconds=_SECONDS, memory=_MEMORY
                ).array
        except (FetchError, ImageError) as error:
            return None, error.message
        except Exception as error:  # credentials that do not work, say: one picture less, and still a report
            return None, f"It cannot be shown ({type(error).__name__})."
        data = _webp(Image.fromarray(array), quality, most_bytes)
        return "data:image/webp;base64," + base64.b64encode(data).decode(), ""

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnail") as pool:
        yield from pool.map(make, images)


def _webp(picture: Image.Image, quality: int, most_bytes: int | None) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=4)
    if most_bytes is None or buffer.tell() <= most_bytes or max(picture.size) <= _LEAST_SIDE:
        return buffer.getvalue()
    return _webp(picture.reduce(2), quality, most_bytes)
