"""Statistics of a whole run, collected from its records in one pass and in bounded memory."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from beam_job.runs.digest import digest64

SCORE_STEP = 0.01  # resolution of the score's median and histogram
LIMIT = 20.0  # scores beyond it, on either side, count as it
_BARS = 24
_EXAMPLES = 8
_MAX_CAPTIONS = 1 << 16
_LONGEST = 2000  # characters of a caption that are compared
_MANY = 20  # images, below which repeated captions say nothing
_SAME_SHARE = 0.1
_DISTINCT_SHARE = 0.5


class Repeats:
    """Counts different captions, and the most frequent ones.

    Exact up to 65,536 different captions. Beyond that the number is estimated from the captions whose digest starts
    with enough zero bits (adaptive sampling, Flajolet 1990), and a count may be too small by a 65,536th of all (Misra
    and Gries 1982).
    """

    def __init__(self, most: int = _MAX_CAPTIONS) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()
        self._kept: set[int] = set()
        self._depth = 0

    def add(self, caption: str) -> None:
        self._counts[caption] += 1
        if len(self._counts) > self._most:
            self._counts = Counter({text: count - 1 for text, count in self._counts.items() if count > 1})
        if self._depth == 0 and self._counts[caption] > 1:
            return
        digest = digest64(caption)
        if digest % (1 << self._depth) == 0:
            self._kept.add(digest)
            while len(self._kept) > self._most:
                self._depth += 1
                self._kept = {digest for digest in self._kept if digest % (1 << self._depth) == 0}

    @property
    def distinct(self) -> int:
        return len(self._kept) << self._depth

    @property
    def exact(self) -> bool:
        return self._depth == 0

    def often(self, count: int) -> list[tuple[str, int]]:
        """The ``count`` most frequent captions among those that occur more than once."""
        return [(text, times) for text, times in self._counts.most_common(count) if times > 1]


class Summary:
    """Scores, words, repeats and failures of a run; records are added one at a time."""

    def __init__(self) -> None:
        self.captioned = 0
        self.failed = 0
        self.repeats = Repeats()
        self._scores: Counter[int] = Counter()
        self._words = 0
        self._cut_off = 0
        self._failures: dict[str, tuple[int, list[dict[str, str]]]] = {}

    def add_caption(self, record: Mapping[str, Any]) -> None:
        self.captioned += 1
        self.repeats.add(str(record.get("caption", ""))[:_LONGEST])
        score = min(max(float(record.get("score", 0.0)), -LIMIT), LIMIT)
        self._scores[math.floor(score / SCORE_STEP)] += 1
        best = (record.get("captions") or [{}])[0]
        self._words += len(best.get("tokens", ()))
        self._cut_off += not best.get("ended", True)

    def add_failure(self, record: Mapping[str, Any]) -> None:
        self.failed += 1
        code = f"{record.get('stage', '?')}/{record.get('error', '?')}"
        count, examples = self._failures.get(code, (0, []))
        if len(examples) < _EXAMPLES:
            examples.append({"uri": record["uri"], "message": str(record.get("message", ""))[:_LONGEST]})
        self._failures[code] = (count + 1, examples)

    def to_json(self) -> dict[str, Any]:
        """The data for the page; rates are null if nothing was captioned."""
        distinct = min(self.repeats.distinct, self.captioned)
        often = self.repeats.often(10)
        return {
            "captioned": self.captioned,
            "failed": self.failed,
            "failures": [
                {"code": code, "count": count, "examples": examples}
                for code, (count, examples) in sorted(self._failures.items(), key=lambda item: -item[1][0])
            ],
            "median_score": self._median(),
            "mean_words": self._words / self.captioned if self.captioned else None,
            "cut_off": self._cut_off,
            "distinct": distinct,
            "distinct_exact": self.repeats.exact,
            "repeated": [{"text": text, "count": count} for text, count in often],
            "warning": self._warning(distinct, often),
        }

    def score_range(self) -> tuple[float, float]:
        """The lowest and the highest score; (0, 0) if there is none."""
        if not self._scores:
            return 0.0, 0.0
        return min(self._scores) * SCORE_STEP, (max(self._scores) + 1) * SCORE_STEP

    def histogram(self, edges: list[float]) -> list[int]:
        """Number of images between each two edges; scores outside count in the outermost bars."""
        bars = [0] * (len(edges) - 1)
        width = edges[1] - edges[0]
        for step, count in self._scores.items():
            bar = math.floor(((step + 0.5) * SCORE_STEP - edges[0]) / width)
            bars[min(max(bar, 0), len(bars) - 1)] += count
        return bars

    def _median(self) -> float | None:
        seen = 0
        for step in sorted(self._scores):
            seen += self._scores[step]
            if 2 * seen >= self.captioned:
                return (step + 0.5) * SCORE_STEP
        return None

    def _warning(self, distinct: int, often: list[tuple[str, int]]) -> str | None:
        if self.captioned < _MANY or not often:
            return None
        text, count = often[0]
        if count >= _SAME_SHARE * self.captioned:
            return (
                f"{count:,} of {self.captioned:,} images got the same caption, “{text}” Check some of them: either the "
                "images are alike, or the model gives this caption when it is unsure."
            )
        if distinct < _DISTINCT_SHARE * self.captioned:
            return (
                f"There are only {distinct:,} different captions for {self.captioned:,} images. Look at the repeated "
                "ones; a wider beam or a model trained on similar pictures gives more varied captions."
            )
        return None


def edges(summaries: list[Summary]) -> list[float]:
    """Edges of the histogram's bars, all of one round width, the same for every run on the page; 0 is one of them."""
    ranges = [summary.score_range() for summary in summaries if summary.captioned] or [(-1.0, 0.0)]
    least, most = min(0.0, *(low for low, _ in ranges)), max(0.0, *(high - SCORE_STEP for _, high in ranges))
    width = next((step for step in (0.05, 0.1, 0.2, 0.25, 0.5) if (most - least) / step <= _BARS), 1.0)
    below, above = math.ceil(-least / width - 1e-9), math.ceil(most / width - 1e-9)
    below += max(4 - below - above, 0)
    return [round(bar * width, 2) for bar in range(-below, above + 1)]
