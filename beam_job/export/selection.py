"""Selects the captions to export: by score or chance, and those that a person confirmed or wrote."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from beam_job.files.document import is_number
from beam_job.runs.reviews import CORRECTED, RIGHT, WRONG
from beam_job.trust.trust_file import Trust

LEFT_OUT = "left_out"
CALLED_WRONG = "marked as wrong in a review"


@dataclass(frozen=True)
class Selection:
    """The conditions for exporting a caption. Confirmed and corrected captions always meet them, wrong ones never.

    Attributes:
      min_score: the minimum score.
      at_least: the minimum chance of being right, 0 to 1.
      trust: the estimated chances; ``None`` if there is no estimate for these captions.
    """

    min_score: float | None = None
    at_least: float | None = None
    trust: Trust | None = None

    def chance(self, record: Mapping[str, Any]) -> float | None:
        """The chance that a record's caption is right, if it is known and the caption was not reviewed."""
        score = _score(record)
        if self.trust is None or score is None or record.get("verdict"):
            return None
        return round(self.trust.chance(score), 4)

    def reason_to_leave_out(self, record: Mapping[str, Any]) -> str | None:
        """Why a record is not exported; ``None`` if it is exported."""
        verdict = record.get("verdict")
        if verdict in (RIGHT, CORRECTED):
            return None
        if verdict == WRONG:
            return CALLED_WRONG
        score, chance = _score(record), self.chance(record)
        if self.min_score is not None and (score is None or score < self.min_score):
            return "below --min_score"
        if self.at_least is not None and (chance is None or chance < self.at_least):
            return "below --at_least"
        return None


class Select(beam.DoFn):
    """Passes on the records to export, each with its ``chance``.

    The output ``LEFT_OUT`` has the reasons for the others. With ``withdraw`` captions that were marked as wrong are
    also passed on, so that they can be removed from sidecars.
    """

    def __init__(self, selection: Selection, *, withdraw: bool = False) -> None:
        self._selection = selection
        self._withdraw = withdraw

    def process(self, record: dict[str, Any]) -> Iterator[Any]:
        reason = self._selection.reason_to_leave_out(record)
        if reason and not (reason == CALLED_WRONG and self._withdraw):
            yield TaggedOutput(LEFT_OUT, reason)
        else:
            yield {**record, "chance": self._selection.chance(record)}


def _score(record: Mapping[str, Any]) -> float | None:
    score = record.get("score")
    return float(score) if score is not None and is_number(score) else None
