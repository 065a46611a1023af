"""A page: one HTML file that needs nothing else, and in which nothing from outside is ever markup or code.

    html = html_page("Captions", body, style=style, scripts=[script], data={"uri": uri})

Style, scripts and data are put into the file. The content security policy allows exactly these, by their digests, and
embedded pictures: no request leaves the page, and no other script runs in it.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any

_ROOM = "beam_job.pages"


def html_page(title: str, body: str, *, style: str, scripts: Iterable[str] = (), data: Any = None) -> str:
    """The page as HTML.

    Args:
      title: as text.
      body: as HTML; texts from outside in it are escaped. It has no ``style`` attributes: the policy forbids them.
      style: CSS, after that of all pages.
      scripts: JavaScript, after that of all pages, which makes ``DATA`` out of ``data``. It puts every text into the
        page as text, never as HTML.
      data: for the scripts, in JSON's types.
    """
    style = asset(_ROOM, "base.css") + style
    script = "\n".join(scripts)
    program = ""
    if script:
        script = f"{asset(_ROOM, 'elements.js')}\n{script}"
        program = _filled("program.html", data=as_script_data(data), script=script)
    return _filled(
        "page.html",
        title=escape(title),
        style=style,
        style_digest=_digest(style),
        script_digest=_digest(script) if script else "'none'",
        body=body.rstrip("\n"),
        program=program,
    )


def asset(room: str, name: str) -> str:
    """The text of a part of a page, which lies beside the code of a room."""
    return files(room).joinpath("assets", name).read_text(encoding="utf-8")


def as_script_data(data: Any) -> str:
    """JSON that can stand in a script element: ASCII alone, and no character that could end the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _filled(name: str, **parts: str) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], asset(_ROOM, name))


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
