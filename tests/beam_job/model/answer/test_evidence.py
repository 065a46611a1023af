"""Which words name what a classifier sees."""

import numpy as np
import pytest

from beam_job.model.answer.evidence import WordEvidence, word_evidence
from beam_job.model.answer.labels import Labels
from tests.tiny_model import LABELS, tiny_vocabulary

VOCABULARY = tiny_vocabulary()


def words(evidence, *probabilities):
    """Of each image, its words with their evidence."""
    found = []
    for ids, shares in zip(*evidence.of(np.array(probabilities, np.float32)), strict=True):
        named = dict(zip(VOCABULARY.decode(ids[shares > 0]), shares[shares > 0].tolist(), strict=True))
        found.append({word: round(share, 5) for word, share in named.items()})
    return found


def test_a_word_has_the_evidence_of_all_its_classes():
    evidence = WordEvidence(LABELS, VOCABULARY)
    assert words(
        evidence,
        [0.4, 0.5, 0.1, 0, 0, 0],  # two classes of cats; nobody says kitten
        [0, 0.29, 0.71, 0, 0, 0],
        [0.3, 0.3, 0.2, 0.2, 0, 0],  # too little for any
        [0.65, 0.09, 0.26, 0, 0, 0],  # the second class is unlikely and does not count
        [0, 0, 0, 0, 1, 0],  # coffee is not in the vocabulary
        [0, 0, 0, 0, 0, 1],
    ) == [{"cat": 0.9}, {"dog": 0.71, "grass": 0.71}, {}, {}, {}, {}]
    assert evidence.most == 2


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [("a dog", True), ("red grass", True), ("a cat", True), ("a ball", False), ("coffee", False), ("", False)],
)
def test_a_caption_may_also_name_a_class_that_is_only_likely(tokens, expected):
    evidence = WordEvidence(LABELS, VOCABULARY)
    assert evidence.is_in(tokens.split(), np.array([0.1, 0, 0.8, 0.09, 0.01, 0], np.float32)) == expected


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [("a cat runs", 0.5), ("a red dog", 0.25), ("on the grass", 0.25), ("a cat 's dog", 0.75), ("a ball", 0)],
)
def test_the_share_is_that_of_the_likely_classes_that_are_named(tokens, expected):
    """Both cats, the dog, and espresso and a lakeside, for which there is no word; the ball is too unlikely."""
    probabilities = np.array([0.25, 0.25, 0.25, 0.0625, 0.125, 0.125], np.float32)
    assert WordEvidence(LABELS, VOCABULARY).share(tokens.split(), probabilities) == expected


def test_no_word_of_any_class_may_be_known():
    evidence = WordEvidence(Labels(("espresso",), (("coffee", "cup"),)), VOCABULARY)
    assert evidence.most == 0


def test_there_is_none_where_no_word_may_get_any():
    assert word_evidence(LABELS, VOCABULARY).most == 2
    assert word_evidence(Labels(("espresso",), (("coffee", "cup"),)), VOCABULARY) is None
    assert word_evidence(None, VOCABULARY) is None


def test_an_image_does_not_depend_on_the_others():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(len(LABELS), 0.2), 40).astype(np.float32)
    evidence = WordEvidence(LABELS, VOCABULARY)
    together = evidence.of(probabilities)
    for row in range(40):
        for whole, alone in zip(together, evidence.of(probabilities[row : row + 1]), strict=True):
            np.testing.assert_array_equal(whole[row], alone[0])
