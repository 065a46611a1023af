"""A page of plots, complete in one file: every sample a dot, every median a bar, goals as lines."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

from beam_job.pages.page import html_page
from benchmarks.figures.measurement import Measurement

_TITLE = "Benchmarks of the captioning job"
_LABEL, _WIDTH, _ROW, _VALUE = 380, 460, 26, 190  # pixels

_STYLE = """
body { max-width: 1100px }
svg { max-width: 100%; height: auto; font: 13px system-ui, sans-serif }
svg text { fill: currentColor }
.bar { fill: #7aa6d8 } .missed { fill: #d88a7a } .dot { fill: currentColor; opacity: .6 }
.goal { stroke: currentColor; stroke-dasharray: 3 2 }
"""


def page(measurements: Sequence[Measurement], facts: Mapping[str, object]) -> str:
    """HTML of a page with one plot for each group."""
    groups = groupby(measurements, key=lambda measurement: measurement.group)
    told = ", ".join(f"{name}: {value}" for name, value in facts.items())
    plots = "\n".join(f"<h2>{escape(name)}</h2>\n{_plot(list(group))}" for name, group in groups)
    body = f"""<h1>{_TITLE}</h1>
<p>{escape(told)}</p>
<p>Bars are medians, dots the single samples, dashed lines goals; a bar that misses its goal is red.</p>
{plots}"""
    return html_page(_TITLE, body, style=_STYLE)


def _plot(group: Sequence[Measurement]) -> str:
    most = max(max(*each.samples, _limit(each) or 0.0) for each in group) or 1.0
    rows = "".join(_row(each, place, most) for place, each in enumerate(group))
    size = f"{_LABEL + _WIDTH + _VALUE} {_ROW * len(group)}"
    return f'<svg viewBox="0 0 {size}" role="img">{rows}</svg>'


def _row(measurement: Measurement, place: int, most: float) -> str:
    top, middle = place * _ROW, place * _ROW + _ROW / 2

    def x(value: float) -> float:
        return round(_LABEL + _WIDTH * max(value, 0.0) / most, 1)

    length = x(measurement.median) - _LABEL
    kind = "bar missed" if measurement.holds is False else "bar"
    parts = [
        f'<text x="{_LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(measurement.name)}</text>',
        f'<rect class="{kind}" x="{_LABEL}" y="{top + 4}" width="{length:.1f}" height="{_ROW - 8}"/>',
        *(f'<circle class="dot" cx="{x(sample)}" cy="{middle}" r="2.5"/>' for sample in measurement.samples),
    ]
    limit = _limit(measurement)
    if limit is not None:
        parts.append(f'<line class="goal" x1="{x(limit)}" x2="{x(limit)}" y1="{top + 1}" y2="{top + _ROW - 1}"/>')
    value = f"{measurement.median:.3g} {measurement.unit} {measurement.goal and f'(goal {measurement.goal})'}"
    parts.append(f'<text x="{_LABEL + _WIDTH + 8}" y="{middle + 4}">{escape(value)}</text>')
    return "".join(parts)


def _limit(measurement: Measurement) -> float | None:
    return float(measurement.goal.split()[1]) if measurement.goal else None
