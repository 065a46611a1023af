"""Pages that show photos, reports and those to review with: written again without some photos."""

import json
import re
from typing import Any, NamedTuple

from beam_job.files.document import read_bytes
from beam_job.files.in_folder import files_in
from beam_job.pages.page import as_script_data
from beam_job.prune.photo_names import PhotoNames

_DATA = re.compile(rb'(<script type="application/json" id="data">)(.*?)(</script>)', re.DOTALL)


class Page(NamedTuple):
    """A page without the photos that are removed.

    Attributes:
      path: the page.
      before: what it holds.
      html: what it is to hold.
      photos: how many entries are taken out of it.
    """

    path: str
    before: bytes
    html: bytes
    photos: int


def pages(output: str) -> list[str]:
    """The HTML files in a folder of runs and in its runs; folders that are not read are named by ``open_books``."""
    return [*files_in(output, "*.html"), *files_in(output, "run=*", "*.html", unread={})]


def page_without(path: str, unwanted: PhotoNames) -> Page | None:
    """A page of these programs without some photos; ``None`` where it shows none of them, or is another program's.

    What it says of all photos together, such as counts, stays as it was when it was written.
    """
    html = read_bytes(path) or b""
    found = _DATA.search(html)
    if found is None:
        return None
    try:
        data = json.loads(found[2])
    except (ValueError, RecursionError):
        return None
    kept, photos = _without(data, unwanted)
    if not photos:
        return None
    text = as_script_data(kept).encode()
    return Page(path, html, html[: found.start(2)] + text + html[found.end(2) :], photos)


def _without(value: Any, unwanted: PhotoNames) -> tuple[Any, int]:
    """The value without the entries of lists that are about one of the photos, and how many those are."""
    if isinstance(value, dict):
        inner = {name: _without(one, unwanted) for name, one in value.items()}
        return {name: one for name, (one, _) in inner.items()}, sum(count for _, count in inner.values())
    if not isinstance(value, list):
        return value, 0
    staying = [one for one in value if not _is_about(one, unwanted)]
    rest = [_without(one, unwanted) for one in staying]
    return [one for one, _ in rest], len(value) - len(staying) + sum(count for _, count in rest)


def _is_about(entry: Any, unwanted: PhotoNames) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("uri"), str) and entry["uri"] in unwanted
