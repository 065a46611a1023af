"""The HTML of the report."""

from collections.abc import Mapping
from typing import Any

from beam_job.pages.page import asset, html_page

_ROOM = "beam_job.report"
_SCRIPTS = ("trust.js", "summary.js", "gallery.js", "viewer.js")


def render(data: Mapping[str, Any]) -> str:
    """The report's page for ``data``."""
    body, style, *scripts = (asset(_ROOM, name) for name in ("body.html", "page.css", *_SCRIPTS))
    return html_page("Captions", body, style=style, scripts=scripts, data=data)
