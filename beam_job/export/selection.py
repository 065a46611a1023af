"""Which captions are exported: those that are sure enough, and whatever a person has confirmed or written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from beam_job.files.document import is_number
from beam_job.runs.reviews import CORRECTED, RIGHT, WRONG
from beam_job.trust.trust_file import Trust

LEFT_OUT = "left_out"
CALLED_WRONG = "called wrong in a review"


@dataclass(frozen=True)
class Selection:
    """What a caption must reach. What a person has confirmed or written always does; what they called wrong never.

    Attributes:
      min_score: the least score.
      at_least: the least chance of being right, 0 to 1.
      trust: tells the chances; ``None`` where nobody has estimated them for these captions.
    """

    min_score: float | None = None
    at_least: float | None = None
    trust: Trust | None = None

    def chance(self, record: Mapping[str, Any]) -> float | None:
        """The chance that a record's caption is right, where it is known; of what was reviewed it is not asked."""
        score = _score(record)
        if self.trust is None or score is None or record.get("verdict"):
            return None
        return round(self.trust.chance(score), 4)

    def reason_to_leave_out(self, record: Mapping[str, Any]) -> str | None:
        """Why a record is not exported; ``None`` where it is."""
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
    """Records to those that are exported, each with its ``chance``; under ``LEFT_OUT``, the reasons for the others.

    With ``withdraw`` those that were called wrong go on, too: what was exported of them is to be taken back.
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
