"""The records of a run: the elements of the pipeline, and the JSON lines that it writes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from beam_job.files.document import is_number

FIELDS = {
    *("uri", "caption", "score", "captions", "width", "height", "model", "version", "sha256", "bytes", "dhash"),
    *("decoding", "run", "labels", "stage", "error", "message", "known"),
}
"""The names of the records' own fields; none of them can be carried from a list."""

EarlierFailure: TypeAlias = tuple[str, str, str | None]
"""How an image failed in an earlier run: stage, error, SHA-256 of its file where it was fetched."""

KNOWN = "known"
"""The key under which failures that are known already are counted."""

CHANGED, TOUCHED = "changed", "touched"
"""The keys under which images are counted that changed since they were captioned, and those that only seemed to."""

_DECIMALS = 4  # of scores in JSON: more than they mean, few enough to read


@dataclass(frozen=True, slots=True)
class Content:
    """The content of an image file.

    Attributes:
      size: in bytes.
      sha256: of the file, in hex.
      dhash: difference hash of the upright picture, 16 hex digits.
      version: the version of the image from the listing or the storage; ``None`` if unknown.
    """

    size: int
    sha256: str
    dhash: str
    version: str | None = None


class EarlierCaption(NamedTuple):
    """An image's record in an earlier run: the SHA-256 of the file, and the position of the record, in bytes.

    ``uri`` is the image's former name, if it was renamed since.
    """

    sha256: str
    path: str
    offset: int
    length: int
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An image at model size: ``pixels`` uint8 [height, width, 3]; ``width`` and ``height`` are those of the source.

    ``carried`` has the carried fields of the list, by name; ``content`` describes the file; ``earlier`` is its failure
    in an earlier run; ``changed`` says whether an earlier run captioned other content of it.
    """

    uri: str
    width: int
    height: int
    pixels: np.ndarray
    carried: Mapping[str, Any] | None = None
    content: Content | None = None
    earlier: EarlierFailure | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Unchanged:
    """An image with a new version or name whose bytes are those of an earlier caption."""

    uri: str
    carried: Mapping[str, Any] | None
    version: str | None
    caption: EarlierCaption


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption with its score.

    Attributes:
      text: the sentence for people.
      tokens: the raw words, without ``<end>``.
      score: how good the model expects it to be, higher is better: the expected CIDEr, 1 for 100, if the model has a
        quality (``beam_job.model.answer.quality``); otherwise the mean log-probability of its tokens (natural
        logarithm, including ``<end>``), at temperature 1.
      min_log_prob: log-probability of the least likely token.
      ended: true if the model ended it; false if it was cut at the maximum length.
      log_probs: on request, each token's log-probability, including ``<end>``.
      attention: on request, for each token its weights over the image's positions.
      mean_log_prob: the mean log-probability, where it is not the score.
    """

    text: str
    tokens: Sequence[str]
    score: float
    min_log_prob: float
    ended: bool
    log_probs: Sequence[float] | None = None
    attention: Sequence[Sequence[float]] | None = None
    mean_log_prob: float | None = None

    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "text": self.text,
            "tokens": list(self.tokens),
            "num_tokens": len(self.tokens),
            "score": _rounded(self.score),
            **({} if self.mean_log_prob is None else {"mean_log_prob": _rounded(self.mean_log_prob)}),
            "min_log_prob": _rounded(self.min_log_prob),
            "ended": self.ended,
        }
        if self.log_probs is not None:
            found["log_probs"] = [_rounded(value) for value in self.log_probs]
        if self.attention is not None:
            found["attention"] = [[_rounded(value) for value in weights] for weights in self.attention]
        return found


class Label(NamedTuple):
    """A class of the model's image classifier, and its probability for an image."""

    name: str
    probability: float

    def fields(self) -> dict[str, Any]:
        return {"label": self.name, "probability": _rounded(self.probability)}


def labels_of(record: Mapping[str, Any]) -> list[Label]:
    """The labels of a record that was read from a file; what the job would not write there is left out."""
    found = record.get("labels")
    return [
        Label(one["label"], one["probability"])
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict) and isinstance(one.get("label"), str) and is_number(one.get("probability"))
    ]


class Captions(list[Caption]):
    """The captions of one image, best first.

    Attributes:
      labels: what the model's image classifier sees, likeliest first; ``None`` for a model without one.
    """

    def __init__(self, captions: Iterable[Caption], labels: Sequence[Label] | None = None) -> None:
        super().__init__(captions)
        self.labels = labels


@dataclass(frozen=True, slots=True)
class NoCaption:
    """Replaces an image's captions if the model finds none; ``reason`` is a sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class CaptionRecord:
    """The captions of one image, best first, at least one.

    ``model`` is the fingerprint of the model that gave them, ``decoding`` the digest of how it decoded. ``device`` is
    where it ran, for the run's manifest. ``labels`` are as in ``Captions``.
    """

    uri: str
    width: int
    height: int
    model: str
    device: str
    captions: Sequence[Caption]
    carried: Mapping[str, Any] | None = None
    content: Content | None = None
    changed: bool = False
    decoding: str | None = None
    labels: Sequence[Label] | None = None

    @property
    def summary_keys(self) -> tuple[str, ...]:
        """The keys under which the manifest counts it."""
        return (self.device, CHANGED) if self.changed else (self.device,)

    def to_json(self, run: str | None = None) -> str:
        """The record as a line of the run with that id."""
        captions = [caption.fields() for caption in self.captions]
        labels = {} if self.labels is None else {"labels": [label.fields() for label in self.labels]}
        content = self.content
        # What may be long stands last; a prune reads the beginning alone.
        return json.dumps(
            {
                "uri": self.uri,
                "caption": captions[0]["text"],
                "score": captions[0]["score"],
                "version": content and content.version,
                "sha256": content and content.sha256,
                "bytes": content and content.size,
                "dhash": content and content.dhash,
                "width": self.width,
                "height": self.height,
                "model": self.model,
                "decoding": self.decoding,
                "run": run,
                **(self.carried or {}),
                **labels,
                "captions": captions,
            },
            ensure_ascii=False,
        )


@dataclass(frozen=True, slots=True)
class CopiedCaption:
    """A record of an earlier run that is also valid for the present version of its image."""

    fields: Mapping[str, Any]

    @property
    def summary_keys(self) -> tuple[str, ...]:
        """The keys under which the manifest counts it."""
        return (TOUCHED,)

    def to_json(self, run: str | None = None) -> str:
        """The record as a line of the run with that id."""
        fields = dict(self.fields)
        captions = {"captions": fields.pop("captions")} if "captions" in fields else {}  # what may be long stands last
        return json.dumps({**fields, "run": run, **captions}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """The dead letter of one image: the stage that failed (list, fetch, decode, infer), a stable code, a sentence.

    Attributes:
      sha256: of the image's file, in hex, if it was fetched.
      earlier: its failure in an earlier run.
    """

    uri: str
    stage: str
    error: str
    message: str
    carried: Mapping[str, Any] | None = None
    sha256: str | None = None
    earlier: EarlierFailure | None = None

    @property
    def known(self) -> bool:
        """Whether the image, unchanged, failed before in the same way."""
        return self.earlier == (self.stage, self.error, self.sha256)

    @property
    def summary_keys(self) -> tuple[str, ...]:
        """The keys under which the manifest counts it."""
        code = f"{self.stage}/{self.error}"
        return (code, KNOWN) if self.known else (code,)

    def to_json(self, run: str | None = None) -> str:
        """The record as a line of the run with that id."""
        own = {"uri": self.uri, "stage": self.stage, "error": self.error, "message": self.message, "known": self.known}
        digest = {"sha256": self.sha256} if self.sha256 else {}
        return json.dumps({**own, **digest, "run": run, **(self.carried or {})}, ensure_ascii=False)


def _rounded(value: float) -> float:
    return round(value, _DECIMALS) + 0.0  # not -0.0
