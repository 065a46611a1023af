"""The captions that the compared programs wrote."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beam_job.records import Caption, NoCaption


def best(found: "Sequence[Caption] | NoCaption") -> str | None:
    """The text of an image's best caption; None where the model finds no caption."""
    return found[0].text if isinstance(found, Sequence) else None


def read_captions(output: Path, files: str) -> dict[str, str]:
    """Photo -> caption, from the JSON lines of all ``files`` (a glob) in ``output``."""
    rows = [json.loads(line) for path in output.glob(files) for line in path.read_text().splitlines()]
    return {row["uri"]: row["caption"] for row in rows}
