"""docs/durability.md lists every code, metric and limit that there is."""

import re
from pathlib import Path

import pytest

from beam_job import download, handler, pixels, rows
from beam_job.options import help_text

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "durability.md").read_text()


@pytest.mark.parametrize(
    ("stage", "errors"),
    [("list", rows.ERRORS), ("fetch", download.ERRORS), ("decode", pixels.ERRORS), ("infer", handler.ERRORS)],
)
def test_codes(stage, errors):
    assert set(re.findall(rf"^\| {stage} \| `(\w+)` \|", PAGE, re.MULTILINE)) == set(errors)


def test_metrics():
    source = "".join(path.read_text() for path in (ROOT / "beam_job").glob("*.py"))
    made = set(re.findall(r'Metrics\.(?:counter|distribution)\(METRICS, "(\w+)"\)', source))
    assert made
    assert set(re.findall(r"^\| `(\w+)` \| (?:counter|distribution) \|", PAGE, re.MULTILINE)) == made


def test_options():
    named = set(re.findall(r"--([a-z]\w+)", re.sub("`python -m benchmarks[^`]*`", "", PAGE)))
    assert named <= set(re.findall(r"--(\w+)", help_text()))
