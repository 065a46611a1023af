"""Finds a batch size that fits into the device's memory by trying."""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from apache_beam.metrics import Metrics

from beam_job.metrics import METRICS
from beam_job.records import Captions, NoCaption

if TYPE_CHECKING:  # TensorFlow takes seconds to import, and only the workers need it.
    from beam_job.model.captioner import Captioner


_PATIENCE = 64  # batches at a smaller size before the larger one is tried again


class AdaptiveCaptioner:
    """A captioner that halves its batch if memory runs out, and tries the larger size again later.

    By then the memory may be free again: another process on the same GPU may have used it. Each time that memory runs
      out, the interval doubles; it is counted in batches.

    Several threads may use it: on Dataflow they share one model and take turns at the device, because two batches at
      once need twice the memory. The model is loaded with the first batch, so that a run without new images ends in
      seconds, and otherwise the first images are fetched meanwhile.

    Args:
      make: makes a captioner, ready to use, for batches of a given size. It is called again for each size that is
        tried, because a captioner's graph has exactly this size.
      batch_size: the initial and maximum size.
    """

    def __init__(self, make: Callable[[int], "Captioner"], batch_size: int) -> None:
        self._make = make
        self._turn = Lock()
        self._captioner: Captioner | None = None
        self._most = self.batch_size = batch_size
        self._batches, self._patience = 0, _PATIENCE  # at this size
        self.fingerprint, self.device = "", ""  # known when the first images are captioned

    def load(self) -> None:
        """Loads the model if it is not loaded yet; raises the error if that fails."""
        with self._turn:
            self._ready()

    def warm_up(self) -> None:
        """Captions a blank image; raises an error if the model cannot caption anything."""
        with self._turn:
            self._ready().warm_up()

    def caption(self, pixels: Sequence[np.ndarray], uris: Sequence[str]) -> list[Captions | NoCaption]:
        """Captions any number of images, like ``Captioner.caption``.

        Raises:
          Exception: errors of the captioner; for memory, only if a single image does not fit.
        """
        found: list[Captions | NoCaption] = []
        while len(found) < len(pixels):
            with self._turn:
                found += self._next_batch(pixels[len(found) :], uris[len(found) :])
        return found

    def _next_batch(self, pixels: Sequence[np.ndarray], uris: Sequence[str]) -> list[Captions | NoCaption]:
        """Captions as many images as fit; none where memory ran out, and the next batch is smaller."""
        if self.batch_size < self._most and self._batches >= self._patience:
            self._resize(min(2 * self.batch_size, self._most))
            logging.info("The model tries batches of %d images again.", self.batch_size)
        captioner = self._ready()
        try:
            found = captioner.caption(pixels[: self.batch_size], uris[: self.batch_size])
        except Exception as error:
            if self.batch_size == 1 or not is_out_of_memory(error):
                raise
        else:
            self._batches += 1
            return found
        del captioner  # outside the handler, whose traceback would keep it and its memory alive
        self._shrink()
        return []

    def _ready(self) -> "Captioner":
        """The captioner; makes one where there is none, of a smaller size where memory runs out over it."""
        while self._captioner is None:
            started = time.perf_counter()
            try:
                self._captioner = self._make(self.batch_size)
            except Exception as error:
                if self.batch_size == 1 or not is_out_of_memory(error):
                    raise
            else:
                Metrics.distribution(METRICS, "model_load_ms").update(round(1000 * (time.perf_counter() - started)))
                self.fingerprint, self.device = self._captioner.fingerprint, self._captioner.device
                break
            self._shrink()
        return self._captioner

    def _shrink(self) -> None:
        self._resize(self.batch_size // 2)
        self._patience *= 2
        Metrics.counter(METRICS, "batch_halvings").inc()
        logging.warning("The model ran out of memory: the next batches have %d images.", self.batch_size)

    def _resize(self, batch_size: int) -> None:
        self._captioner = None
        gc.collect()
        self.batch_size = batch_size
        self._batches = 0


def is_out_of_memory(error: Exception) -> bool:
    """Whether TensorFlow (on any device) or numpy ran out of memory."""
    import tensorflow as tf

    if isinstance(error, tf.errors.InternalError):  # CUDA's own libraries report it like this
        return "out of memory" in str(error).lower() or "OUT_OF_MEMORY" in str(error)
    return isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError))


def is_of_model(error: Exception) -> bool:
    """Whether the model's graph failed, and not the code around it."""
    import tensorflow as tf

    return isinstance(error, tf.errors.OpError)
