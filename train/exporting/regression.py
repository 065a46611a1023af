"""The regression from captions to their CIDEr, with which a model learns the quality of its captions.

    quality = fit_examples(examples, vocabulary_size)
    cross_validated(examples, likeliest, vocabulary_size)  # what other photos' captions let expect of these

Ridge regression of the CIDEr's logarithm, by which a caption of an unusually high CIDEr does not outweigh many others.
Numbers are standardised, and each part of the weights has its own penalty. The bias is set so that the mean of the
expected CIDEr is that of the examples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from beam_job.model.answer.quality import FLOOR, NUMBERS, Context, Quality, numbers_of

_WORDS = 2000  # the most frequent ones; a rarer word is in too few captions to have a weight
_AT_ONCE = 2048  # examples
_RIDGE = (0.01, 100.0, 100.0)  # the penalties on the weights of numbers, words, and words by their probability
_FOLDS = 10


class Example(NamedTuple):
    """A caption: its ids, their log-probabilities, its CIDEr, the number of its photo, and what there is beside it."""

    ids: np.ndarray
    log_probs: np.ndarray
    cider: float
    photo: int = 0
    context: Context = Context(0.0)


def fit_examples(examples: Sequence[Example], vocabulary_size: int, ridge: Sequence[float] = _RIDGE) -> Quality:
    """The weights that expect the CIDEr of the examples best."""
    design = _Design(examples, vocabulary_size)
    return _levelled(design.solve(design.sums(examples), ridge), examples)


def _levelled(quality: Quality, examples: Sequence[Example]) -> Quality:
    """With a bias by which the mean of the expected CIDEr is that of the examples."""
    expected = [quality.of(example.ids, example.log_probs, example.context) + FLOOR for example in examples]
    more = np.log(np.mean([example.cider + FLOOR for example in examples]) / np.mean(expected))
    return quality._replace(bias=(quality.bias + more).astype(np.float32))


def cross_validated(
    examples: Sequence[Example], judged: Sequence[Example], vocabulary_size: int, ridge: Sequence[float] = _RIDGE
) -> np.ndarray:
    """The expected CIDEr of each judged caption, float64, each time learned without a tenth of the photos, its own
    among them; NaN where there are no other photos."""
    design = _Design(examples, vocabulary_size)
    every = design.sums(examples)
    expected = np.full(len(judged), np.nan)
    photos = np.unique([example.photo for example in examples])  # their numbers may have gaps
    folds, judged_folds = (np.searchsorted(photos, [one.photo for one in ones]) % _FOLDS for ones in (examples, judged))
    for fold in np.unique(judged_folds):
        left_out = design.sums([example for example, own in zip(examples, folds, strict=True) if own == fold])
        others = [example for example, own in zip(examples, folds, strict=True) if own != fold]
        if others:
            quality = _levelled(design.solve(every.without(left_out), ridge), others)
            for place in np.flatnonzero(judged_folds == fold).tolist():
                expected[place] = quality.of(judged[place].ids, judged[place].log_probs, judged[place].context)
    return expected


class _Sums(NamedTuple):
    """Over examples: how many, the logarithms of their CIDEr, their columns, products of columns with these logarithms
    and with columns."""

    examples: int
    logarithms: float
    columns: np.ndarray
    products: np.ndarray
    squares: np.ndarray

    def without(self, part: "_Sums") -> "_Sums":
        return _Sums(
            self.examples - part.examples,
            self.logarithms - part.logarithms,
            self.columns - part.columns,
            self.products - part.products,
            self.squares - part.squares,
        )


class _Design:
    """What the weights are multiplied by: of each example its numbers, standardised, how often it has each frequent
    word, and the words' probabilities."""

    def __init__(self, examples: Sequence[Example], vocabulary_size: int) -> None:
        numbers = np.array([numbers_of(one.log_probs, one.context) for one in examples], np.float64)
        self._mean, self._scale = numbers.mean(axis=0), numbers.std(axis=0) + 1e-6
        used, counts = np.unique(np.concatenate([example.ids for example in examples]), return_counts=True)
        self._used = np.sort(used[np.argsort(-counts, kind="stable")[:_WORDS]])  # the others keep weights of zero
        self._places = np.full(vocabulary_size, -1)
        self._places[self._used] = np.arange(len(self._used))
        self._parts = [len(NUMBERS), len(self._used), len(self._used)]

    def sums(self, examples: Sequence[Example]) -> _Sums:
        """Added up part by part: the columns of all examples at once would take gigabytes."""
        size = sum(self._parts)
        columns, products, squares = np.zeros(size), np.zeros(size), np.zeros([size, size])
        logarithms = np.log([example.cider + FLOOR for example in examples])
        for at in range(0, len(examples), _AT_ONCE):
            part = examples[at : at + _AT_ONCE]
            rows = self._rows(part)
            columns += rows.sum(axis=0)
            products += rows.T @ logarithms[at : at + _AT_ONCE]
            squares += rows.T @ rows
        return _Sums(len(examples), logarithms.sum(), columns, products, squares)

    def solve(self, sums: _Sums, ridge: Sequence[float]) -> Quality:
        """The weights, from the sums over some of the examples."""
        means = sums.columns / sums.examples
        squares = sums.squares - np.outer(sums.columns, means)
        squares[np.diag_indices_from(squares)] += np.repeat(ridge, self._parts)
        weights = np.linalg.solve(squares, sums.products - means * sums.logarithms)
        of_numbers, *of_words = np.split(weights, np.cumsum(self._parts)[:-1])
        every = np.zeros([2, len(self._places)])
        every[:, self._used] = of_words
        bias = sums.logarithms / sums.examples - means @ weights - self._mean @ (of_numbers / self._scale)
        found = (np.array([bias]), of_numbers / self._scale, *every)
        return Quality(*(part.astype(np.float32) for part in found))

    def _rows(self, examples: Sequence[Example]) -> np.ndarray:
        """Float64 [examples, columns]."""
        rows = np.zeros([len(examples), sum(self._parts)])
        of_numbers, said, probable = np.split(rows, np.cumsum(self._parts)[:-1], axis=1)
        for row, example in enumerate(examples):
            of_numbers[row] = (numbers_of(example.log_probs, example.context) - self._mean) / self._scale
            columns = self._places[example.ids]
            np.add.at(said[row], columns[columns >= 0], 1.0)
            np.add.at(probable[row], columns[columns >= 0], np.exp(example.log_probs[columns >= 0]))
        return rows
