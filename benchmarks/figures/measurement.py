"""What a benchmark found: samples of one quantity, and ratios of two that were measured side by side."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """Samples of one quantity.

    Attributes:
      group: measurements that are to be compared stand in one group.
      name: what was measured.
      unit: of the samples.
      samples: one for each round.
      goal: what a ratio has to reach, such as ``>= 0.9``.
    """

    group: str
    name: str
    unit: str
    samples: Sequence[float]
    goal: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def holds(self) -> bool | None:
        """Whether the median reaches the goal; None where there is none."""
        if not self.goal:
            return None
        sign, limit = self.goal.split()
        return self.median >= float(limit) if sign == ">=" else self.median <= float(limit)

    def over(self, other: "Measurement", group: str, goal: str = "") -> "Measurement":
        """The ratio to ``other``, round by round: what disturbed both at once cancels out."""
        ratios = [mine / theirs for mine, theirs in zip(self.samples, other.samples, strict=True)]
        return Measurement(group, f"{self.name} / {other.name}", "", ratios, goal)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "median": self.median, "holds": self.holds}

    def __str__(self) -> str:
        low, high, count = min(self.samples), max(self.samples), len(self.samples)
        found = f"{self.group}: {self.name}: {self.median:.4g} {self.unit}".rstrip()
        spread = f" ({low:.4g} to {high:.4g}, n={count})" if count > 1 else ""
        verdict = {None: "", True: f"  {self.goal}: holds", False: f"  {self.goal}: MISSED"}[self.holds]
        return found + spread + verdict


def seconds(clock: Callable[[], float], work: Callable[[], object]) -> float:
    """What ``work`` takes by ``clock``."""
    started = clock()
    work()
    return clock() - started
