"""HTML pages: nothing from outside is markup, and only what was put in is allowed to run or to be shown."""

import base64
import hashlib
import json
import re

from beam_job.pages.page import as_script_data, html_page


def policy(html):
    """The sources that a page allows, by what they are for."""
    (content,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    return dict(rule.strip().split(" ", 1) for rule in content.split(";"))


def digest(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_script_data_is_ascii_and_free_of_markup():
    text = as_script_data({"a": "<>&\u2028é"})
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "<>&\u2028é"}


def test_a_page_allows_its_own_style_and_script():
    html = html_page("<Captions>", "<p>{{data}}</p>", style="p { color: red }", scripts=["find(1);"], data={"a": "</"})
    assert "<title>&lt;Captions&gt;</title>" in html
    assert "<p>{{data}}</p>" in html  # a body is no template
    (style,), (script,) = (re.findall(f"<{name}>(.*?)</{name}>", html, re.S) for name in ("style", "script"))
    assert style.endswith("p { color: red }")
    assert script.endswith("find(1);")
    allowed = policy(html)
    assert (allowed["style-src"], allowed["script-src"]) == (digest(style), digest(script))
    assert (allowed["default-src"], allowed["img-src"]) == ("'none'", "data:")


def test_a_page_without_scripts_allows_none():
    html = html_page("Scores", "<p>1</p>", style="")
    assert "<script" not in html
    assert policy(html)["script-src"] == "'none'"
