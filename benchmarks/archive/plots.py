"""Draws the plots of docs/scale.md from the figures of a part: cost against size, and memory against time.

python -m benchmarks.archive.plots /tmp/scale/run.json --cost docs/images/scale-cost.svg
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 110, 30, 44  # margins
_LINE = 13  # from one name to the next
_STEPS = 150  # in time
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b")
Line = Sequence[tuple[float, float]]


def main() -> None:
    """Draws what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="NAME.json that python -m benchmarks.archive wrote.")
    parser.add_argument(
        "--cost", type=Path, help="Where to write CPU time for each image, against the number of images."
    )
    parser.add_argument("--memory", type=Path, help="Where to write memory against time, of the largest size.")
    options = parser.parse_args()
    rows = json.loads(options.figures.read_text())["rows"]
    if options.cost:
        options.cost.write_text(plot("CPU time for each image beyond the start", "images", "ms", cost(rows), log=True))
    if options.memory:
        options.memory.write_text(plot("Memory of the largest process of each kind", "seconds", "MiB", memory(rows)))


def cost(rows: Sequence[Mapping[str, Any]]) -> dict[str, Line]:
    """Milliseconds of CPU for each image, by role and together; the first row tells what starting takes."""
    first, *others = sorted(rows, key=lambda row: int(row["size"]))
    start = first["figures"]["processes"]
    found: dict[str, list[tuple[float, float]]] = {}
    for row in others:
        used = row["figures"]["processes"]
        each = {
            role: 1000 * (used[role]["cpu_seconds"] - start[role]["cpu_seconds"]) / (row["size"] - first["size"])
            for role in used.keys() & start.keys()
            if used[role]["cpu_seconds"] > 0.1
        }
        for role, milliseconds in {"together": sum(each.values()), **each}.items():
            found.setdefault(role, []).append((row["size"], milliseconds))
    return dict(found)


def memory(rows: Sequence[Mapping[str, Any]]) -> dict[str, Line]:
    """Resident MiB over time in the row of the largest size, of the largest process of each role at the time."""
    largest = max(rows, key=lambda row: int(row["size"]))
    step = largest["figures"]["wall_seconds"] / _STEPS
    most: dict[str, dict[int, float]] = {}
    for process in largest["figures"]["memory"]:
        if process["role"] not in ("pool", "other"):
            found = most.setdefault(process["role"], {})
            for seconds, mebibytes in process["mebibytes"]:
                place = int(seconds / step)
                found[place] = max(found.get(place, 0), mebibytes)
    lines = {role: [(place * step, y) for place, y in sorted(found.items()) if y] for role, found in most.items()}
    return {role: line for role, line in lines.items() if line}


def plot(title: str, x_name: str, y_name: str, lines: Mapping[str, Line], *, log: bool = False) -> str:
    """An SVG of lines; ``log``: the first axis has a logarithmic scale."""
    scaled = {name: [(math.log10(x) if log else x, y) for x, y in line] for name, line in lines.items()}
    points = [point for line in scaled.values() for point in line]
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    most = max(y for _, y in points) or 1.0

    def at(x: float, y: float) -> str:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (x - low) / ((high - low) or 1)
        return f"{across:.1f},{_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * y / most:.1f}"

    parts = [f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = at(low, share * most).split(",")
        parts.append(f'<path d="M{x} {y}H{_WIDTH - _RIGHT}" stroke="#ccc"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{float(y) + 4}" text-anchor="end">{_told(share * most)}</text>')
    for place in sorted({x for x, _ in points}) if log else [low, (low + high) / 2, high]:
        x, _ = at(place, 0).split(",")
        told = f"{10**place if log else place:,.0f}"
        parts.append(f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{told}</text>')
    parts.append(
        f'<text x="{(_WIDTH - _RIGHT + _LEFT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>'
    )
    parts.append(f'<text x="8" y="18">{escape(y_name)}</text>')
    named: list[float] = []
    for (name, line), colour in zip(scaled.items(), _COLOURS, strict=False):
        drawn = " ".join(at(x, y) for x, y in line)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        height = float(at(*line[-1]).split(",")[1]) + 4
        while any(abs(height - other) < _LINE for other in named):
            height += 1
        named.append(height)
        parts.append(f'<text x="{_WIDTH - _RIGHT + 6}" y="{height:.1f}" fill="{colour}">{escape(name)}</text>')
    style = "font: 12px system-ui, sans-serif; background: white"
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" style="{style}">{"".join(parts)}</svg>\n'


def _told(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


if __name__ == "__main__":
    main()
