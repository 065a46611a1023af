"""Data to a page: one HTML file that needs nothing else, and in which nothing from outside is ever markup or code."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_SCRIPTS = ("elements.js", "trust.js", "summary.js", "gallery.js", "viewer.js")


def render(data: Mapping[str, Any]) -> str:
    """The report's page for ``data``."""
    return fill(asset("page.html"), asset("base.css") + asset("page.css"), "\n".join(map(asset, _SCRIPTS)), data)


def fill(html: str, style: str, script: str, data: Any) -> str:
    """Puts a style, a script and ``data`` into a page. The script puts every text there as text, never as HTML.

    The content security policy allows this page's own script and style by their digests, embedded pictures, and
    nothing else: no request leaves the page, and no script but ours runs in it.
    """
    parts = {"style": style, "style_digest": _digest(style), "script": script, "script_digest": _digest(script)}
    parts["data"] = as_script_data(data)
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], html)


def as_script_data(data: Any) -> str:
    """JSON that can stand in a script element: ASCII alone, and no character that could end the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", text)


def asset(name: str, package: str = "beam_job.report") -> str:
    """The text of a part of a page, which lies beside the code of a room."""
    return files(package).joinpath("assets", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
