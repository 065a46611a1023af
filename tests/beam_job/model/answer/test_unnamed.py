"""Which images are decoded again, and which of their new captions count."""

import numpy as np
import pytest

from beam_job.model.answer.evidence import WordEvidence
from beam_job.model.answer.unnamed import Unnamed
from beam_job.records import Caption, Captions, NoCaption
from tests.tiny_model import LABELS, tiny_vocabulary

VOCABULARY = tiny_vocabulary()
CAT, DOG, UNSURE = [0.4, 0.5, 0.1, 0, 0, 0], [0, 0.29, 0.71, 0, 0, 0], [0.3, 0.3, 0.2, 0.2, 0, 0]


def captions(*texts):
    return Captions([Caption(text, text.split(), 0.5, -1.0, True) for text in texts])


def unnamed(found, *classes, label_bonus=3.0):
    evidence = WordEvidence(LABELS, VOCABULARY)
    return Unnamed(found, np.array(classes, np.float32), evidence, VOCABULARY, label_bonus)


def test_only_the_best_caption_counts_and_only_where_the_classifier_is_sure():
    found = [
        captions("a cat"),
        captions("a ball", "a cat"),
        captions("a ball"),
        NoCaption("There is none."),
        captions("a red ball"),
    ]
    padding = CAT
    assert unnamed(found, CAT, CAT, UNSURE, DOG, DOG, padding).places == [1, 4]


def test_words_get_the_bonus_in_proportion_to_their_evidence():
    ids, bonuses = unnamed([captions("a ball")] * 2, CAT, DOG, label_bonus=2.0).words
    named = [
        dict(zip(VOCABULARY.decode(row[given > 0]), given[given > 0].tolist(), strict=True))
        for row, given in zip(ids, bonuses, strict=True)
    ]
    assert named == [{"cat": pytest.approx(1.8)}, {"dog": pytest.approx(1.42), "grass": pytest.approx(1.42)}]
    assert (ids.dtype, bonuses.dtype) == (np.int32, np.float32)


def test_new_captions_count_if_the_best_of_them_names_what_the_classifier_is_sure_of():
    images = unnamed([captions("a ball")] * 2, CAT, DOG)
    assert images.is_named(0, captions("a cat on grass", "a ball"))
    assert images.is_named(1, captions("red grass"))
    assert not images.is_named(0, captions("a ball", "a cat"))
    assert not images.is_named(0, captions("a dog"))  # a likely class, but none that it is sure of
    assert not images.is_named(1, NoCaption("There is none."))
