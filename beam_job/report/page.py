"""Data to a page: one HTML file that needs nothing else, and in which nothing from outside is ever markup or code."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_SCRIPTS = ("elements.js", "summary.js", "gallery.js", "viewer.js")


def render(data: Mapping[str, Any]) -> str:
    """The page for ``data``. The scripts put every text into the page as text, never as HTML.

    The content security policy allows this page's own script and style by their digests, embedded pictures, and
    nothing else: no request leaves the page, and no script but ours runs in it.
    """
    style = _asset("page.css")
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    parts = {"style": style, "style_digest": _digest(style), "script": script, "script_digest": _digest(script)}
    parts["data"] = as_script_data(data)
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("page.html"))


def as_script_data(data: Any) -> str:
    """JSON that can stand in a script element: ASCII alone, and no character that could end the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _asset(name: str) -> str:
    return files("beam_job.report").joinpath("assets", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
