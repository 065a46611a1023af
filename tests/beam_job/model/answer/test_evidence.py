"""Which words name what a classifier sees."""

import numpy as np

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
        [0, 0.49, 0.51, 0, 0, 0],  # either
        [0.2, 0.2, 0.2, 0.2, 0.1, 0.1],
        [0, 0, 0.5, 0.5, 0, 0],  # both, with two words each
        [0, 0, 0, 0, 1, 0],  # coffee is not in the vocabulary
        [0, 0, 0, 0, 0, 1],
    ) == [{"cat": 0.9}, {"dog": 0.51, "grass": 0.51}, {}, dict.fromkeys(["ball", "dog", "grass", "red"], 0.5), {}, {}]
    assert evidence.most == 4


def test_no_word_of_any_class_may_be_known():
    evidence = WordEvidence(Labels(("espresso",), (("coffee", "cup"),)), VOCABULARY)
    assert evidence.most == 0


def test_there_is_none_where_no_word_may_get_any():
    assert word_evidence(LABELS, VOCABULARY).most == 4
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
