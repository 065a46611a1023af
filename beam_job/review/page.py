"""The review page: photos, captions and all data that reviews need, in one file."""

import json
from collections.abc import Sequence
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.files.whole import write_whole
from beam_job.images.local_path import local_path
from beam_job.messages.quoting import shown
from beam_job.pages.page import asset, html_page
from beam_job.records import labels_of
from beam_job.report.thumbnails import thumbnails
from beam_job.review.draw import Drawn
from beam_job.runs.archive import Archive, ArchiveError
from beam_job.runs.digest import digest64
from beam_job.runs.reviews import FORMAT, LONGEST

MOST_PHOTOS = 2000
"""Photos on a page: somebody reviews them in two or three hours."""

_ROOM = "beam_job.review"
_SIDES = ((300, 1024), (800, 640), (MOST_PHOTOS, 448))  # of pictures in pixels, by the number of photos
_QUALITY = 72  # of WebP: mistakes hide in details
_MOST_PICTURES = 64 << 20  # bytes of all pictures on a page
_OTHERS = 9  # captions to choose from; each has a digit as its key


def write_page(archive: Archive, drawn: Sequence[Drawn], to: str | None, allow_https: bool) -> tuple[str, int]:
    """Writes the page; returns its path, and the number of photos without a picture on it.

    Args:
      drawn: the captions on the page, at most ``MOST_PHOTOS``, in this order.
      to: the file. By default it is in the archive's folder and named after its contents, so that it does not overwrite
        another page on which somebody is still working.

    Raises:
      ArchiveError: the page cannot be written.
    """
    items = [_item(one) for one in drawn]
    identity = _identity(archive, items)
    sizes = [(item["uri"], item["width"], item["height"]) for item in items]
    side = next(side for most, side in _SIDES if len(items) <= most)
    made = thumbnails(sizes, side, allow_https, _QUALITY, _MOST_PICTURES // max(len(items), 1))
    for item, (picture, why) in zip(items, made, strict=True):
        item |= {"image": picture, "why": why}
    data = {
        "identity": identity,
        "format": FORMAT,
        "longest": LONGEST,
        "model": archive.model,
        "decoding": archive.decoding,
        "items": items,
    }
    body, style, *scripts = (asset(_ROOM, name) for name in ("body.html", "page.css", "work.js", "review.js"))
    html = html_page("Review captions", body, style=style, scripts=scripts, data=data)
    target = to or FileSystems.join(archive.output, f"review-{identity}.html")
    try:
        target = local_path(target)
        write_whole(target, html.encode())
    except Exception as error:  # file systems raise what they like
        raise ArchiveError(f"{shown(target)}: the page cannot be written ({shown(str(error), 300)}).") from error
    return target, sum(item["image"] is None for item in items)


def _item(drawn: Drawn) -> dict[str, Any]:
    record = drawn.record
    labels = [label.fields() for label in labels_of(record)]
    return {
        **{name: record[name] for name in ("uri", "caption", "score", "run")},
        "probability": drawn.probability,
        "others": _others(record),
        **({"labels": labels} if labels else {}),
        **{name: _size(record.get(name)) for name in ("width", "height")},
    }


def _others(record: dict[str, Any]) -> list[str]:
    """Other captions of the record, to choose from."""
    captions = record.get("captions")
    texts = [one.get("text") for one in captions if isinstance(one, dict)] if isinstance(captions, list) else []
    others = [text for text in texts if isinstance(text, str) and 0 < len(text) <= LONGEST]
    return [text for text in dict.fromkeys(others) if text != record["caption"]][:_OTHERS]


def _size(value: object) -> int:
    return max(int(value), 1) if isinstance(value, (int, float)) and value < 1e9 else 1


def _identity(archive: Archive, items: Sequence[dict[str, Any]]) -> str:
    """Names what is on the page: the browser keeps the work under it."""
    return f"{digest64(json.dumps([archive.model, archive.decoding, items], sort_keys=True)):016x}"
