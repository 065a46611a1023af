"""The page of the report: its HTML, and where it is written by default."""

import os
from collections.abc import Mapping
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.pages.page import asset, html_page

REPORT = "report.html"
COMPARISON = "comparison-with-{}.html"
"""With the name of the first folder: it stands beside the second one's report, and beside comparisons with folders of
other names."""

_ROOM = "beam_job.report"
_SCRIPTS = ("trust.js", "summary.js", "gallery.js", "viewer.js")


def page_path(first: str, second: str | None) -> str:
    """Where the report of the folder ``first`` is written, or its comparison with ``second``."""
    if second is None:
        return FileSystems.join(first, REPORT)
    folder = first if "://" in first else os.path.abspath(first)
    return FileSystems.join(second, COMPARISON.format(folder.rstrip("/").rpartition("/")[2]))


def render(data: Mapping[str, Any]) -> str:
    """The report's page for ``data``."""
    body, style, *scripts = (asset(_ROOM, name) for name in ("body.html", "page.css", *_SCRIPTS))
    return html_page("Captions", body, style=style, scripts=scripts, data=data)
