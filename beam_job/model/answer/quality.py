"""The quality that a model expects of its captions: what ``quality.npz`` of a model directory holds.

    quality = Quality.read(directory / "quality.npz")
    quality.of(ids, log_probs, Context(-0.9, named=0.8))  # 0.84: the CIDEr of such captions, 1 for 100

A linear model of the logarithm of the CIDEr, fitted in training to the model's own captions. It knows a caption's words
and their log-probabilities, the other captions that the search found, and whether the caption names what the image
classifier sees. Estimating quality without references is common in machine translation (Specia et al. 2018, "Quality
Estimation for Machine Translation").
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

NUMBERS = (
    "mean log-probability",
    "least log-probability",
    "mean of the three least",
    "tokens",
    "mean log-probability of all captions",
    "probability of classes that it names",
)
FLOOR = 0.1  # added to a CIDEr before its logarithm is taken, since many are 0
_LINEAR = 4  # numbers in files of earlier releases, whose weights are of the CIDEr itself
_LEAST = 3
_MOST_BYTES = 16 << 20  # of the file, packed or not; that of 20,000 words has 160 kilobytes


class Context(NamedTuple):
    """What there is beside a caption.

    Attributes:
      mean_log_prob: the mean of the mean log-probabilities of all captions that the search found for the image.
      named: the probability of the likely classes of the image that the caption names; 0 without a classifier.
    """

    mean_log_prob: float
    named: float = 0.0


class Quality(NamedTuple):
    """The weights.

    Attributes:
      bias: float32 [1].
      numbers: float32 [6], of ``NUMBERS``; or [4], of the first four, and all weights are of the CIDEr itself.
      words: float32 [vocabulary], of each word that occurs.
      probable: float32 [vocabulary], of each word's probability.
    """

    bias: np.ndarray
    numbers: np.ndarray
    words: np.ndarray
    probable: np.ndarray

    def of(self, ids: np.ndarray, log_probs: np.ndarray, context: Context) -> float:
        """The expected CIDEr of a caption, 1 for 100.

        Args:
          ids: int [tokens], with ``<end>`` if it has one.
          log_probs: float32 [tokens], their natural log-probabilities.
          context: what there is beside the caption.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # no number, of weights that were not learned from captions
            found = self.bias[0] + numbers_of(log_probs, context)[: len(self.numbers)] @ self.numbers
            found += self.words[ids].sum() + np.exp(log_probs) @ self.probable[ids]
            return float(found if len(self.numbers) == _LINEAR else np.exp(found, dtype=np.float64) - FLOOR)

    @classmethod
    def read(cls, path: Path) -> "Quality":
        """Raises ``ValueError`` if the file is none."""
        try:
            _check_size(path.stat().st_size)
            with np.load(path, allow_pickle=False) as stored:
                _check_size(sum(part.file_size for part in stored.zip.infolist()))
                found = cls(*(stored[name] for name in cls._fields))
        except Exception as error:  # numpy and zipfile raise what they like
            raise ValueError(f"it cannot be read ({error})") from error
        for name, array in found._asdict().items():
            if array.dtype != np.float32 or array.ndim != 1 or not np.isfinite(array).all():
                raise ValueError(f"its {name!r} is not a list of finite float32 numbers")
        fitting = len(found.bias) == 1 and len(found.numbers) in (_LINEAR, len(NUMBERS))
        if not fitting or len(found.words) != len(found.probable):
            raise ValueError("its parts do not fit each other")
        return found

    def write(self, path: Path) -> None:
        np.savez(path, **self._asdict())


def numbers_of(log_probs: np.ndarray, context: Context) -> np.ndarray:
    """``NUMBERS`` of a caption, float32 [6], from its tokens' log-probabilities, float32 [tokens]."""
    least = np.sort(log_probs)[:_LEAST]
    return np.array([log_probs.mean(), least[0], least.mean(), len(log_probs), *context], np.float32)


def _check_size(size: int) -> None:
    if size > _MOST_BYTES:
        raise ValueError(f"over {_MOST_BYTES:,} bytes, the limit for this file")
