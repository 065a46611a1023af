"""Which captions are exported: those that are sure enough."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from beam_job.runs.folder import is_number

LEFT_OUT = "left_out"
REVIEW = "review"


@dataclass(frozen=True)
class Selection:
    """What a caption must reach. A person's own words always do.

    Attributes:
      min_score: the least score.
      at_least: the least chance of being right, 0 to 1.
      trust: the chances: pairs of a score and the chance of captions from there on, by rising scores; empty where
        nobody has estimated them.
    """

    min_score: float | None = None
    at_least: float | None = None
    trust: tuple[tuple[float, float], ...] = ()

    def chance(self, record: Mapping[str, Any]) -> float | None:
        """The chance that a record's caption is right, where it is known."""
        score = _score(record)
        if not self.trust or score is None or record.get("source") == REVIEW:
            return None
        chances = [chance for least, chance in self.trust if least <= score]
        return chances[-1] if chances else self.trust[0][1]

    def reason_to_leave_out(self, record: Mapping[str, Any]) -> str | None:
        """Why a record is not exported; ``None`` where it is."""
        if record.get("source") == REVIEW:
            return None
        score = _score(record)
        if self.min_score is not None and (score is None or score < self.min_score):
            return "below --min_score"
        if self.at_least is not None:
            chance = self.chance(record)
            if chance is None or chance < self.at_least:
                return "below --at_least"
        return None


def _score(record: Mapping[str, Any]) -> float | None:
    score = record.get("score")
    return float(score) if score is not None and is_number(score) else None


class Select(beam.DoFn):
    """Records to those that are exported, each with its ``chance``; under ``LEFT_OUT``, the reasons for the others."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def process(self, record: dict[str, Any]) -> Iterator[Any]:
        reason = self._selection.reason_to_leave_out(record)
        if reason:
            yield TaggedOutput(LEFT_OUT, reason)
        else:
            yield {**record, "source": record.get("source", "model"), "chance": self._selection.chance(record)}
