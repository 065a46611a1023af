"""Reads a run, or two, and writes the page."""

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from beam_job.files.document import is_number
from beam_job.files.whole import write_whole
from beam_job.images import decoder, download
from beam_job.images.local_path import local_path
from beam_job.listing import globs, rows
from beam_job.messages import unforeseen
from beam_job.model import handler
from beam_job.records import FIELDS, labels_of
from beam_job.report.compare import compare as compare_runs
from beam_job.report.copy_groups import CopyGroups, Group, lines, totals
from beam_job.report.page import page_path, render
from beam_job.report.run_records import ReportError, Reviewed, open_reviewed
from beam_job.report.sample import Sample
from beam_job.report.summary import Summary, edges
from beam_job.report.thumbnails import thumbnails
from beam_job.runs.folder import CAPTIONS, FAILURES
from beam_job.runs.reviews import ADDED

SAMPLE = 300
_GROUPS, _GROUP_PICTURES = 6, 4  # of copies that are shown, and pictures of each
_FEW = 60  # images whose thumbnails may be larger
_LONGEST = 2000  # characters of a text on the page
_MOST_OPTIONS = 200
_SAID = ("id", "runs", "model", "started", "finished", "seconds", "devices", "versions")
_SIDES = (512, 256)  # of thumbnails in pixels: for few images, for many; the page stays under a few megabytes

_LISTING = rows.ERRORS | globs.ERRORS
_ERRORS = {"list": _LISTING, "fetch": download.ERRORS, "decode": decoder.ERRORS, "infer": handler.ERRORS}
MEANINGS = {
    **{f"{stage}/{code}": meaning for stage, errors in _ERRORS.items() for code, meaning in errors.items()},
    **{f"{stage}/{unforeseen.CODE}": unforeseen.MEANING for stage in ("fetch", "decode", "infer")},
}
"""Every code that a failure can have, with its stage, and what it means."""

# One entry of the gallery: an image with its record in each run, and whether it was chosen for its priority.
Shown = tuple[list[dict[str, Any]], bool]


def write_report(
    run: str,
    *,
    compare: str | None = None,
    to: str | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
    allow_https: bool = False,
    groups: str | None = None,
) -> str:
    """Writes the report of a run as one HTML file and returns its path.

    Args:
      run: the folder of a run, or a folder of runs for its current captions; on any file system that Beam reads.
      compare: a second run, shown next to the first.
      to: the file to write; by default ``report.html`` in the folder of ``run``, or ``comparison-with-<run>.html`` in
        that of ``compare``.
      sample: maximum number of images on the page: a third of them have the lowest scores (in a comparison: the
        greatest changes), the others are chosen at random.
      seed: random seed.
      allow_https: whether pictures are fetched from https:// URIs, regardless of the run's options, because a run may
        name any server.
      groups: a file to write all groups of copies to, as JSON lines.

    Raises:
      ReportError: there is no run, or the page cannot be written.
    """
    if sample < 0:
        raise ReportError(f"--sample {sample}: choose 0 or more images.")
    first = open_reviewed(run)
    second = None if compare is None else open_reviewed(compare)
    if groups is not None and second is not None:
        raise ReportError("--groups and --compare: groups of copies are found in one folder; use only one of the two.")
    copies = CopyGroups()
    data = _data(first, second, Sample(sample, seed), allow_https, copies)
    found = copies.find()
    data["copies"] = None if second is not None else _copies(copies, found, first, allow_https)
    if groups is not None:
        _write(groups, "".join(lines(found, copies.images(found, _again(first)))))
    target = to or page_path(first.source.directory, None if second is None else second.source.directory)
    return _write(target, render(data))


def _write(target: str, text: str) -> str:
    try:
        target = local_path(target)
        write_whole(target, text.encode("utf-8", "backslashreplace"))
    except Exception as error:  # file systems raise what they like
        raise ReportError(f"{target}: it cannot be written ({error}).") from error
    return target


def _again(reviewed: Reviewed) -> Iterator[dict[str, Any]]:
    """The captions once more; what is wrong with their files is known already."""
    problems = list(reviewed.source.problems)
    yield from reviewed.read(CAPTIONS)
    reviewed.source.problems[:] = problems


def _copies(copies: CopyGroups, groups: Sequence[Group], reviewed: Reviewed, allow_https: bool) -> dict[str, Any]:
    """How many copies there are, and the largest groups with some of their pictures."""
    largest = [Group(group.kind, group.places[:_GROUP_PICTURES]) for group in groups[:_GROUPS]]
    images = copies.images(largest, _again(reviewed)) if largest else {}
    pictures = dict(zip(images, thumbnails(list(images.values()), _SIDES[1], allow_https), strict=True))
    return {
        **totals(groups),
        "largest": [
            {
                "kind": group.kind,
                "count": len(whole.places),
                "images": [
                    {"uri": images[place][0], "image": pictures[place][0], "why": pictures[place][1]}
                    for place in group.places
                ],
            }
            for group, whole in zip(largest, groups, strict=False)
        ],
    }


def _data(
    first: Reviewed, second: Reviewed | None, sample: Sample, allow_https: bool, copies: CopyGroups
) -> dict[str, Any]:
    runs = [first] if second is None else [first, second]
    summaries = [Summary() for _ in runs]
    changes: dict[str, Any] | None = None
    shown: list[Shown]
    if second is None:
        for record in first.read(CAPTIONS):
            summaries[0].add_caption(record)
            sample.add(record, record["score"])
            copies.add(record)
        shown = [([record], least) for record, least in sample.records()]
        shown_of = summaries[0].captioned
    else:
        found = compare_runs(first, second, sample, (summaries[0].add_caption, summaries[1].add_caption))
        shown = [([before, after], most) for before, after, most in found.pairs]
        shown_of = found.both
        changes = {"both": found.both, "same": found.same, "only": found.only}
    for run, summary in zip(runs, summaries, strict=True):
        for record in run.read(FAILURES):
            summary.add_failure(record)
    bars = edges(summaries)
    return {
        "runs": [_run(run, summary, bars) for run, summary in zip(runs, summaries, strict=True)],
        "edges": bars,
        "changes": changes,
        "sample": {"seed": sample.seed, "of": shown_of, "chosen": sum(first for _, first in shown)},
        "meanings": MEANINGS,
        "items": _items(shown, allow_https),
    }


def _run(reviewed: Reviewed, summary: Summary, bars: list[float]) -> dict[str, Any]:
    run = reviewed.source
    about = run.about
    captioned = summary.captioned + reviewed.wrong  # the page is not about them, and they are accounted for
    counts = about.get("counts") or {"input": None, "captioned": captioned, "failed": summary.failed}
    return {
        **{name: about.get(name) for name in _SAID},
        "directory": run.directory,
        "complete": run.finished,
        "counts": counts,
        "options": dict(_flat(about.get("options") or {})),
        **summary.to_json(),
        "histogram": summary.histogram(bars),
        "trust": None if reviewed.trust is None else asdict(reviewed.trust),
        "corrected": reviewed.corrected,
        "wrong": reviewed.wrong,
        "problems": run.problems[:20],
    }


def _flat(options: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in list(options.items())[:_MOST_OPTIONS]:
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{_cut(name)}.")
        elif value is None or isinstance(value, bool) or is_number(value):
            found.append((prefix + _cut(name), value))
        else:
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            found.append((prefix + _cut(name), _cut(text)))
    return found[:_MOST_OPTIONS]


def _items(shown: Sequence[Shown], allow_https: bool) -> list[dict[str, Any]]:
    images = [(records[0]["uri"], _size(records[0], "width"), _size(records[0], "height")) for records, _ in shown]
    made = thumbnails(images, _SIDES[0] if len(images) <= _FEW else _SIDES[1], allow_https)
    return [
        {
            "uri": uri,
            "width": width,
            "height": height,
            "image": picture,
            "why": why,
            "chosen": chosen,
            "carried": {name: _cut(str(value)) for name, value in records[-1].items() if name not in FIELDS | ADDED},
            "captions": [_captions(record) for record in records],
            "labels": [
                [label._replace(name=_cut(label.name)).fields() for label in labels_of(record)] for record in records
            ],
            "verdicts": [record.get("verdict") for record in records],
        }
        for (uri, width, height), (records, chosen), (picture, why) in zip(images, shown, made, strict=True)
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _size(record: Mapping[str, Any], name: str) -> int:
    return max(int(record.get(name) or 0), 1)


def _captions(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The captions of a record, first the sentence that stands."""
    made = [_caption(caption) for caption in record.get("captions", [])]
    if record.get("source") == "review":
        made.insert(0, {"text": _cut(record["caption"]), "score": record["score"], "person": True})
    return made


def _caption(caption: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: caption.get(name) for name in ("text", "tokens", "score", "min_log_prob", "ended", "log_probs")}
    found["text"] = _cut(str(found["text"]))
    if caption.get("attention"):
        found["attention"] = _attention(caption["attention"])
    return {name: value for name, value in found.items() if value is not None}


def _attention(weights: Sequence[Sequence[float]]) -> dict[str, Any] | None:
    """Maps of one byte a position, base64; each is scaled to its own maximum, as only its shape is looked at."""
    maps = np.asarray(weights, np.float32)
    side = math.isqrt(maps.shape[-1]) if maps.ndim == 2 else 0
    if side < 2 or side * side != maps.shape[1]:
        return None
    scaled = np.rint(255 * maps / np.maximum(maps.max(axis=1, keepdims=True), 1e-9)).astype(np.uint8)
    return {"side": side, "maps": base64.b64encode(scaled.tobytes()).decode()}
