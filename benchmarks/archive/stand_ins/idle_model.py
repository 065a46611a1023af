"""A model that does nothing but take the time that it is told; every caption is the same sentence."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from beam_job.model.adaptive_batch import AdaptiveCaptioner
from beam_job.model.handler import CaptionHandler
from beam_job.records import Caption, Captions

_CAPTION = Caption("A dog runs on the grass.", ["a", "dog", "runs", "on", "the", "grass"], -0.9, -2.5, True)


class IdleCaptioner:
    """Stands in for a captioner."""

    fingerprint, device = "0" * 64, "none"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def caption(self, pixels: Sequence[np.ndarray], uris: Sequence[str]) -> list[Captions]:
        time.sleep(self._seconds * len(uris))
        return [Captions([_CAPTION]) for _ in uris]


class IdleHandler(CaptionHandler):
    """A ``CaptionHandler`` whose model takes ``seconds`` for each image; worker processes can unpickle it."""

    def __init__(self, seconds: float, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seconds = seconds

    def load_model(self) -> AdaptiveCaptioner:
        seconds = self._seconds
        return AdaptiveCaptioner(lambda _: IdleCaptioner(seconds), self._batch_size)  # type: ignore[arg-type,return-value]
