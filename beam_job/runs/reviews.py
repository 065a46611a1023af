"""The reviews in a folder of runs, and the caption of an image after its reviews.

For each image reviews are applied in the order of their times:

- a corrected sentence replaces the caption of every run, including later ones, until a newer review changes that;
- a caption marked as wrong is left out; this applies to that sentence only, not to another model's caption;
- a caption marked as right counts, even after an earlier correction;
- a skipped photo has no verdict.

Reviews that cannot be read are an error: without them captions that were marked as wrong would count.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import LINK, NO_PERMISSION, UnreadableError, is_number, is_text
from beam_job.files.in_folder import files_in
from beam_job.files.switch import places, read_switch, steady
from beam_job.images.local_path import local_path
from beam_job.messages.quoting import quoted, shown
from beam_job.runs.record_file import RecordFile

FOLDER = "reviews"
FORMAT = 1
RIGHT, CORRECTED, WRONG, SKIPPED = VERDICTS = ("right", "corrected", "wrong", "skipped")
ADDED = {"source", "verdict"}
"""The fields of a record after its reviews that no run writes; a carried field of such a name is not taken for one."""

LONGEST = 2000
"""Characters of a corrected sentence at most."""

_URI = 8192  # characters
_SHOWN = 100_000
_NAME = 200
_AHEAD = timedelta(days=1)  # of a clock that may be wrong: reviews from the future would count for ever


_TO_DO = {
    LINK: "put the folder itself there, or mount it there",
    NO_PERMISSION: "let this account read it",
}


class BadReviewError(ValueError):
    """A row that is not a review; the message is a sentence that says why."""


class UnreadReviewsError(ValueError):
    """A folder or a file of reviews that cannot be read; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Review:
    """A person's verdict on one caption.

    Attributes:
      uri: the image.
      verdict: one of ``VERDICTS``.
      caption: the person's sentence if ``verdict`` is ``corrected``, otherwise ``None``.
      shown: the caption that the person saw.
      model, decoding, run, score: of that caption: fingerprint, ``decoding_digest``, the run's id, its score.
      probability: the probability that the image was sampled; ``None`` if it was chosen by name.
      time: ISO 8601 in UTC.
      reviewer: the person's name; may be empty.
    """

    uri: str
    verdict: str
    caption: str | None
    shown: str
    model: str
    decoding: str
    run: str
    score: float
    probability: float | None
    time: str
    reviewer: str = ""

    @classmethod
    def parse(cls, row: object, now: datetime | None = None) -> "Review":
        """Checks a row of a reviews file; raises ``BadReviewError``."""
        if not isinstance(row, dict):
            raise BadReviewError("it is not a JSON object")
        version = row.get("format", FORMAT)
        if not isinstance(version, int) or version > FORMAT:
            raise BadReviewError(
                f"its format is {quoted(version)}, this version reads {FORMAT}: install a newer version of this package"
            )

        def text(name: str, most: int, least: int = 1) -> str:
            value = row.get(name)
            if not isinstance(value, str) or not is_text(value) or len(value) < least:
                raise BadReviewError(f"its {name} is {quoted(value)}, which is not text")
            if len(value) > most:
                raise BadReviewError(f"its {name} has {len(value):,} characters, at most {most:,} are allowed")
            return value

        uri = text("uri", _URI)
        verdict = row.get("verdict")
        if verdict not in VERDICTS:
            raise BadReviewError(f"its verdict is {quoted(verdict)}, not one of {', '.join(VERDICTS)}")
        caption = None
        if verdict == CORRECTED:
            caption = " ".join(text("caption", LONGEST).split())
            if not caption or any(ord(character) < 32 or ord(character) == 127 for character in caption):
                raise BadReviewError(f"its caption is {quoted(caption)}, which is not a sentence")
        score, probability = row.get("score"), row.get("probability")
        if not isinstance(score, (int, float)) or not is_number(score):
            raise BadReviewError(f"its score is {quoted(score)}, which is not a number")
        if probability is not None and not (is_number(probability) and 0 < probability <= 1):
            raise BadReviewError(f"its probability is {quoted(probability)}, which is not between 0 and 1")
        return cls(
            uri,
            verdict,
            caption,
            text("shown", _SHOWN, 0),
            text("model", _NAME),
            text("decoding", _NAME),
            text("run", _NAME),
            score,
            probability,
            _moment(row.get("time"), now or datetime.now(UTC)),
            "" if row.get("reviewer") is None else text("reviewer", _NAME, 0),
        )

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)


class Reviews:
    """All reviews of a folder, oldest first.

    Attributes:
      rows: the reviews.
      problems: sentences about lines that are not reviews.
    """

    def __init__(self, rows: list[Review], problems: list[str]) -> None:
        self.rows = sorted(rows, key=lambda review: review.time)
        self.problems = problems

    @cached_property
    def of_uri(self) -> dict[str, list[Review]]:
        """The verdicts on each image, oldest first."""
        found: dict[str, list[Review]] = {}
        for review in self.rows:
            if review.verdict != SKIPPED:
                found.setdefault(review.uri, []).append(review)
        return found

    def newest(self, model: str, decoding: str) -> list[Review]:
        """The newest verdict on each image with a caption of that model and those decoding options."""
        return list({review.uri: review for review in self._verdicts(model, decoding)}.values())

    def sampled(self, model: str, decoding: str) -> list[Review]:
        """The newest verdict on each image whose caption was sampled, with the probability of the sample.

        The verdict may be from a later review that has no probability: else those whose caption was wrong, and which
        were then chosen by name to be corrected, would be missing among the sampled ones.
        """
        probabilities: dict[tuple[str, str], float] = {}
        found: dict[str, Review] = {}
        for review in self._verdicts(model, decoding):
            caption = (review.uri, review.shown)
            if review.probability is not None:
                probabilities[caption] = review.probability
            if caption in probabilities:
                found[review.uri] = replace(review, probability=probabilities[caption])
        return list(found.values())

    def _verdicts(self, model: str, decoding: str) -> Iterator[Review]:
        """The verdicts on that model's captions with those decoding options, oldest first."""
        made_by = (model, decoding)
        return (row for row in self.rows if row.verdict != SKIPPED and (row.model, row.decoding) == made_by)

    def differing(self) -> list[tuple[Review, Review]]:
        """Disagreements of two people about one sentence: the earlier verdict, and the one that counts."""
        found = []
        for reviews in self.of_uri.values():
            newest = reviews[-1]
            others = {review.reviewer: review for review in reviews if review.shown == newest.shown}
            for other in others.values():
                if other.reviewer != newest.reviewer and (other.verdict, other.caption) != (
                    newest.verdict,
                    newest.caption,
                ):
                    found.append((other, newest))
                    break
        return found

    def apply(self, record: Mapping[str, Any], keep_wrong: bool = False) -> dict[str, Any] | None:
        """A caption's record after its reviews; ``None`` if the caption was marked as wrong.

        ``source`` is ``model`` or ``review``; ``verdict`` is the person's verdict, if there is one.

        Args:
          keep_wrong: also return records whose caption was marked as wrong; their ``verdict`` is ``wrong``.
        """
        sentence, verdicts = self._standing(record["uri"])
        verdict = verdicts.get(record["caption"])
        record = {name: value for name, value in record.items() if name not in ADDED}
        if sentence is not None:
            return {**record, "caption": sentence, "source": "review", "verdict": CORRECTED}
        if verdict is None:
            return {**record, "source": "model"}
        if verdict == WRONG and not keep_wrong:
            return None
        return {**record, "source": "model", "verdict": verdict}

    def sentences(self) -> dict[str, str]:
        """The right sentence of each image by its reviews: a correction, or the newest caption marked as right."""
        found = {}
        for uri in self.of_uri:
            sentence, verdicts = self._standing(uri)
            right = [shown for shown, verdict in verdicts.items() if verdict == RIGHT]
            if sentence is not None or right:
                found[uri] = right[-1] if sentence is None else sentence
        return found

    def _standing(self, uri: str) -> tuple[str | None, dict[str, str]]:
        """A person's sentence, if any, and what was said of others, the newest last: ``RIGHT`` or ``WRONG``."""
        sentence: str | None = None
        verdicts: dict[str, str] = {}
        for review in self.of_uri.get(uri, ()):
            verdicts.pop(review.shown, None)
            verdicts[review.shown] = RIGHT if review.verdict == RIGHT else WRONG
            if review.verdict == CORRECTED:
                sentence = review.caption
                verdicts.pop(sentence or "", None)
            elif (review.verdict == RIGHT) != (review.shown == sentence):
                sentence = None
        return sentence, verdicts


def read_reviews(output: str) -> Reviews:
    """Reads the reviews in a folder of runs; there may be none. Lines that are not reviews are added to the problems.

    They are kept in memory, about a kilobyte each.

    Raises:
      UnreadReviewsError: the folder of reviews, or a file in it, cannot be read.
    """
    output = local_path(output)
    reviews, unread = steady(output, lambda: _read(output))
    for path, reason in unread.items():
        to_do = _TO_DO.get(reason, "put the file itself there, and start again")
        raise UnreadReviewsError(
            f"{shown(path, 1000)} {reason}. Captions that were marked as wrong there would count; {to_do}."
        )
    return reviews


def _read(output: str) -> tuple[Reviews, dict[str, str]]:
    """The reviews, and what cannot be read, with the reason."""
    rows: list[Review] = []
    problems = []
    unread: dict[str, str] = {}
    for path in review_files(output, unread):
        records = RecordFile(path, is_review)
        rows += (Review.parse(record) for record in records)
        if records.unread:
            unread[path] = records.unread
        elif records.problem:
            problems.append(f"{shown(path, 1000)}: {records.problem}")
    return Reviews(rows, problems), unread


def review_files(output: str, unread: dict[str, str] | None = None) -> list[str]:
    """The files of reviews in a folder of runs; in place of one that a prune is replacing, the new one.

    ``unread`` is as for ``files_in``.
    """
    try:
        switch = read_switch(output)
    except UnreadableError:
        switch = None  # whoever opens the runs says so
    files = files_in(output, FOLDER, "*.jsonl", unread=unread)
    names = (f"{FOLDER}/{FileSystems.split(path)[1]}" for path in files)
    found = (places(switch, output, name) for name in names)
    return [next(filter(FileSystems.exists, paths[:-1]), paths[-1]) for paths in found]


def is_review(row: object) -> bool:
    """Whether a row is a review, as ``Review.parse`` checks it."""
    try:
        Review.parse(row)
    except BadReviewError:
        return False
    return True


def _moment(value: object, now: datetime) -> str:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) < 40 else None
        if moment is not None and moment.tzinfo is not None and moment - now <= _AHEAD:
            return moment.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        moment = None
    if moment is not None and moment.tzinfo is not None:
        raise BadReviewError(f"its time, {quoted(value)}, lies in the future: a clock was wrong")
    raise BadReviewError(f"its time is {quoted(value)}, not one such as 2026-01-02T03:04:05Z")
