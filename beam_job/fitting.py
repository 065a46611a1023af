"""Batches that fit into the device's memory: found by trying, and kept."""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from apache_beam.metrics import Metrics

from beam_job.metrics import METRICS
from beam_job.records import Caption

if TYPE_CHECKING:  # TensorFlow takes seconds to import, and only the workers need it.
    from beam_job.captioner import Captioner


class FittingCaptioner:
    """A captioner that halves its batch when it runs out of memory, and stays at the size that worked.

    Several threads may use it: on Dataflow they share one model. It loads the model with the first batch: a run that
    finds nothing new to caption ends in seconds, and otherwise the first images are fetched meanwhile.

    Args:
      make: makes a captioner, ready to use, for batches of a given size. It is called again for each size that is
        tried, as a captioner's graph has room for exactly that many images.
      batch_size: to begin with.
    """

    def __init__(self, make: Callable[[int], "Captioner"], batch_size: int) -> None:
        self._make = make
        self._lock = Lock()
        self._captioner: Captioner | None = None
        self.batch_size = batch_size
        self.fingerprint, self.device = "", ""  # known when the first images are captioned

    def load(self) -> None:
        """Loads the model where that has not happened yet; raises what keeps it from being loaded."""
        self._ready()

    def warm_up(self) -> None:
        """Captions a blank image; raises where the model is able to caption nothing."""
        self._ready()[0].warm_up()

    def caption(self, pixels: Sequence[np.ndarray], uris: Sequence[str]) -> list[list[Caption]]:
        """Captions any number of images, as ``Captioner.caption`` does.

        Raises:
          Exception: what the captioner raises; running out of memory only where a single image does not fit.
        """
        found: list[list[Caption]] = []
        while len(found) < len(pixels):
            captioner, size = self._ready()
            batch = slice(len(found), len(found) + size)
            try:
                found += captioner.caption(pixels[batch], uris[batch])
                continue
            except Exception as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            del captioner  # outside the handler, whose traceback would keep it and its memory alive
            self._halve(size)
        return found

    def _ready(self) -> "tuple[Captioner, int]":
        """The captioner and its batch size; makes a captioner where there is none."""
        with self._lock:
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
            return self._captioner, self.batch_size

    def _halve(self, size: int) -> None:
        with self._lock:
            if self.batch_size == size:  # else another thread has done it
                self._shrink()

    def _shrink(self) -> None:
        self._captioner = None
        gc.collect()
        self.batch_size //= 2
        Metrics.counter(METRICS, "batch_halvings").inc()
        logging.warning("The model ran out of memory: from now on batches of %d images.", self.batch_size)


def is_out_of_memory(error: Exception) -> bool:
    """Whether TensorFlow, on whatever device, or numpy found no memory."""
    import tensorflow as tf

    if isinstance(error, tf.errors.InternalError):  # CUDA's own libraries report it like this
        return "out of memory" in str(error).lower() or "OUT_OF_MEMORY" in str(error)
    return isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError))
