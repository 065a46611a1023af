"""docs/operations.md lists every metric, and docs/durability.md only options that exist."""

import re
from pathlib import Path

from beam_job.command_line import help_text

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "durability.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def test_metrics():
    source = "".join(path.read_text() for path in (ROOT / "beam_job").rglob("*.py"))
    made = set(re.findall(r'Metrics\.(?:counter|distribution)\(METRICS, "(\w+)"\)', source))
    assert made
    assert set(re.findall(r"^\| `(\w+)` \| (?:counter|distribution) \|", OPERATIONS, re.MULTILINE)) == made


def test_options():
    named = set(re.findall(r"--([a-z]\w+)", re.sub("`(?:python -m benchmarks|zstd)[^`]*`", "", PAGE)))
    assert named <= set(re.findall(r"--(\w+)", help_text())) | {"job_endpoint", "groups"}  # of Beam; of the report
