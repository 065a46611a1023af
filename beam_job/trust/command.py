"""The command line of trust."""

import importlib.util
from array import array
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from beam_job.files.whole import WriteError
from beam_job.messages.invocation import command_parser, pip_install
from beam_job.messages.quantity import quantity
from beam_job.messages.quoting import shown
from beam_job.messages.share import parse_share
from beam_job.runs.archive import Archive, ArchiveError, open_archive
from beam_job.runs.record_file import ReplacedError
from beam_job.runs.reviews import RIGHT
from beam_job.terminal.streams import escaped, say, show
from beam_job.trust.chance import fit_chances
from beam_job.trust.share import TooFewReviewsError, table, weigh
from beam_job.trust.trust_file import Threshold, Trust, write_trust

_PROGRAM = "beam_job.trust"
_EXAMPLES = """examples:
  python -m beam_job.trust captions
  python -m beam_job.trust captions --right 95%
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints how many captions are right and writes ``trust.json``; returns 0, or 2 where the reviews do not say it."""
    description = "Estimates how many captions are right, from the reviews of a sample (see beam_job.review)."
    parser = command_parser(_PROGRAM, description, _EXAMPLES)
    parser.add_argument("output", metavar="DIR", help="the --output of the job")
    parser.add_argument(
        "--right",
        metavar="SHARE",
        help="also find the lowest score above which this share of captions is right, such as 95%%",
    )
    args = parser.parse_args(argv)
    try:
        wanted = None if args.right is None else _share(args.right)
        archive = open_archive(args.output)
        trust = judge(archive)
        path = write_trust(archive.output, trust)
    except (ArchiveError, ReplacedError, TooFewReviewsError, WriteError) as error:
        say(f"{_PROGRAM}: {escaped(str(error))}")
        return 2
    for problem in archive.reviews.problems[:20]:
        say(f"{_PROGRAM}: {escaped(problem)}")
    show("\n".join(_lines(trust)))
    differing = archive.reviews.differing()
    if differing:
        show(f"Two people disagree about {quantity(len(differing), 'photo')}; the later review counts.")
    if wanted is not None:
        show(_answer(trust.thresholds, wanted))
    show(escaped(f"See {path}."))
    return 0


def judge(archive: Archive) -> Trust:
    """Estimates how many captions of the archive are right, from the newest reviews of sampled photos.

    Memory: 4 bytes per caption, more while they are sorted.

    Raises:
      TooFewReviewsError: too few sampled photos were reviewed.
      ArchiveError: scikit-learn is not installed; nobody is asked for it before there are enough reviews.
    """
    captions = _rounded(array("f", (record["score"] for record in archive.captions())))
    drawn = archive.reviews.sampled(archive.model, archive.decoding)
    answers = weigh(
        _rounded([review.score for review in drawn]),
        np.array([review.verdict == RIGHT for review in drawn], bool),
        np.array([review.probability for review in drawn], np.float64),
        captions,
    )
    if importlib.util.find_spec("sklearn") is None:
        raise ArchiveError(f"scikit-learn is not installed: {pip_install('scikit-learn')}")
    time = max(review.time for review in drawn)
    made_by = (archive.model, archive.decoding)
    chances, thresholds = fit_chances(answers, captions), tuple(table(answers, captions))
    return Trust(*made_by, len(drawn), time, len(captions), chances, thresholds)


def _rounded(scores: Sequence[float]) -> np.ndarray:
    """As records have them: a threshold is a score that stands in a record."""
    return np.round(np.asarray(scores, np.float64), 4)


def _share(text: str) -> float:
    with suppress(ValueError):
        share = parse_share(text)
        if 0 < share < 1:
            return share
    raise ArchiveError(f"--right {shown(text)}: choose a share such as 95% or 0.95.")


def _lines(trust: Trust) -> list[str]:
    everything = trust.thresholds[0]
    return [
        f"{_percent(everything.right)} of {trust.captions:,} captions are right ({_interval(everything)}), estimated "
        f"from {quantity(trust.reviews, 'review')}.",
        "",
        f"{'score':>7}  {'captions':>10}  {'right':>5}  {'95 % interval':>15}  {'to check':>10}  {'reviews':>7}",
        *(
            f"{row.score:>7.2f}  {row.captions:>10,}  {_percent(row.right):>5}  {_interval(row):>15}  "
            f"{trust.captions - row.captions:>10,}  {row.reviews:>7,}"
            for row in trust.thresholds
        ),
        "",
    ]


def _answer(thresholds: Sequence[Threshold], wanted: float) -> str:
    """The lowest score above which so many are right, by the estimate and for sure."""
    target = f"{100 * wanted:g} %"
    row = next((row for row in thresholds if row.right is not None and row.right >= wanted), None)
    if row is None:
        return f"In no line of the table are {target} of the captions right."
    rest = thresholds[0].captions - row.captions
    text = (
        f"Of the {row.captions:,} captions with a score of {row.score:.4f} or more, an estimated "
        f"{_percent(row.right)} are right ({_interval(row)}). A person should check the other {rest:,}."
    )
    sure = next((row for row in thresholds if row.low >= wanted), None)
    if sure is None:
        return (
            f"{text} This is uncertain: no interval in the table lies above {target}. More reviews give narrower "
            "intervals."
        )
    if sure == row:
        return f"{text} The whole interval lies above {target}."
    return (
        f"{text} For the {sure.captions:,} captions with a score of {sure.score:.4f} or more, the whole interval lies "
        f"above {target}."
    )


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.0f} %"


def _interval(row: Threshold) -> str:
    return f"{100 * row.low:.0f} to {100 * row.high:.0f} %"
