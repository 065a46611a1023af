"""A page about an evaluation: scores, the curves of the training, and captions from the worst to the best.

    Path("report.html").write_text(page(model.manifest, "photos/test.jsonl", evaluation))

One file with everything inside, photos included; it opens without a network.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image as Picture

from beam_job.images.pixels import decode
from beam_job.model.manifest import Manifest
from beam_job.pages.page import html_page
from train.evaluation.evaluate import Evaluation, ScoredCaption

EXAMPLES = 24
_SIDE = 224  # of a photo on the page, in pixels
_WIDTH, _HEIGHT, _EDGE = 420, 180, 36  # of a curve

CURVES = {
    "loss_by_epoch": "Loss, nats a word",
    "dev_cider_by_epoch": "Dev CIDEr",
    "reward_by_epoch": "Self-critical training: reward of sampled captions",
    "dev_cider_by_self_critical_epoch": "Self-critical training: dev CIDEr",
}
_STYLE = """
body { max-width: 76rem } h2 { margin-top: 2.5rem } figure { margin: 0 } figcaption { color: var(--dim) }
table { border-collapse: collapse } td, th { padding: .2rem 1.2rem .2rem 0; text-align: left; font-weight: normal }
td { font-variant-numeric: tabular-nums; text-align: right } code { overflow-wrap: anywhere }
.row { display: flex; flex-wrap: wrap; gap: 2rem }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(224px, 1fr)); gap: 1.5rem }
.photos img { width: 100%; border-radius: 4px } .photos p { margin: .3rem 0 }
ul { padding-left: 1.1rem; list-style: disc; color: var(--dim); font-size: .85rem }
svg text { font-size: 11px; fill: var(--dim) } polyline { fill: none; stroke: var(--accent); stroke-width: 2 }
circle { fill: var(--accent) }
"""


def page(manifest: Manifest, data: str, found: Evaluation) -> str:
    """The page as HTML.

    Args:
      manifest: of the model that was measured; its training holds the curves.
      data: name of the photos that it was measured on.
      found: what was measured.
    """
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{value:,}</td></tr>" for name, value in found.metrics.items())
    left_out = "".join(f"<li>{escape(sentence)}</li>" for sentence in found.left_out)
    body = f"""<h1>Captions of {escape(data)}</h1>
<p>Model <code>{manifest.fingerprint}</code>, encoder {escape(manifest.encoder)}.</p>
<h2>Scores</h2><table>{rows}</table>
{f"<h2>Left out</h2><ul>{left_out}</ul>" if left_out else ""}
<h2>Training</h2>{_exported(manifest.training)}<div class="row">{_curves(manifest.training)}</div>
<h2>Examples, from the lowest CIDEr to the highest</h2>
<div class="photos">{"".join(map(_example, spread(found.scored)))}</div>
"""
    return html_page(f"Captions of {data}", body, style=_STYLE)


def spread(scored: Sequence[ScoredCaption], count: int = EXAMPLES) -> list[ScoredCaption]:
    """``count`` examples, evenly spread from the worst to the best."""
    ranked = sorted(scored, key=lambda one: one.cider)
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return [ranked[place] for place in places]


def curve(title: str, values: Sequence[float]) -> str:
    """A line over the epochs, as SVG; the axis shows the lowest and the highest value."""
    low, high = min(values), max(values)
    across = np.linspace(_EDGE, _WIDTH - 8, len(values)) if len(values) > 1 else np.array([_WIDTH / 2])
    up = _HEIGHT - 24 - (np.array(values) - low) / ((high - low) or 1) * (_HEIGHT - 40)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>epoch {epoch}: {value:g}</title></circle>'
        for epoch, (x, y, value) in enumerate(zip(across, up, values, strict=True), 1)
    )
    return f"""<figure><svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{escape(title)}">
<polyline points="{points}"/>{dots}
<text x="0" y="20">{high:.4g}</text><text x="0" y="{_HEIGHT - 22}">{low:.4g}</text>
<text x="{_EDGE}" y="{_HEIGHT - 4}">epoch 1</text>
<text x="{_WIDTH - 8}" y="{_HEIGHT - 4}" text-anchor="end">{len(values)}</text></svg>
<figcaption>{escape(title)}</figcaption></figure>"""


def _exported(training: Mapping[str, Any]) -> str:
    """Which weights the model has, and the CIDEr of the model that training started from."""
    before, text = training.get("dev_cider_before"), training.get("exported")
    shown = f"Exported: {text}. " if text else ""
    if before is not None:
        shown += f"Dev CIDEr of the model that training started from: {before:g}."
    return f"<p>{escape(shown)}</p>" if shown else ""


def _curves(training: Mapping[str, Sequence[float]]) -> str:
    curves = [curve(title, training[name]) for name, title in CURVES.items() if training.get(name)]
    return "".join(curves) or "<p>The manifest holds no curves.</p>"


def _example(one: ScoredCaption) -> str:
    references = "".join(f"<li>{escape(reference)}</li>" for reference in one.references)
    picture = io.BytesIO()
    Picture.fromarray(decode(one.image.read_bytes(), _SIDE, _SIDE).array).save(picture, "JPEG", quality=85)
    source = f"data:image/jpeg;base64,{base64.b64encode(picture.getvalue()).decode()}"
    return (
        f'<figure><img src="{source}" alt="{escape(one.caption.text)}"><p>{escape(one.caption.text)}</p>'
        f"<figcaption>CIDEr {one.cider:.0f}</figcaption><ul>{references}</ul></figure>"
    )
