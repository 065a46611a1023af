"""From the search's arrays to captions: what is cut off, what is a score, and which captions count."""

import math
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.answer.captions import Distinct, by_image, captions_of
from beam_job.model.answer.quality import NUMBERS, Quality
from beam_job.model.search import Hypotheses
from beam_job.records import Caption, Captions, Label, NoCaption
from tests.tiny_model import tiny_vocabulary

VOCABULARY = tiny_vocabulary()
END, PAD = VOCABULARY.end_id, VOCABULARY.pad_id
A, CAT, DOG, RUNS = VOCABULARY.encode(["a", "cat", "dog", "runs"])


def hypotheses(*captions):
    """Of pairs of a rank and ids, whose log-probabilities are -0.5, -1, -1.5, ..."""
    tokens = np.full([len(captions), 5], PAD, np.int32)
    for row, (_, ids) in enumerate(captions):
        tokens[row, : len(ids)] = ids
    log_probs = np.where(tokens == PAD, 0, np.arange(1, 6) / -2).astype(np.float32)
    attention = np.repeat(log_probs[:, :, None], 2, axis=2)
    return Hypotheses(np.array([rank for rank, _ in captions], np.float32), tokens, log_probs, attention)


def test_captions_have_no_padding_and_no_end():
    (rank, ended), (_, cut) = captions_of(
        hypotheses((-0.5, [A, DOG, RUNS, END]), (-math.inf, []), (-2.0, [A, CAT, RUNS, A, CAT])), VOCABULARY, None
    )
    assert (rank, ended.text, ended.tokens, ended.ended) == (-0.5, "A dog runs.", ["a", "dog", "runs"], True)
    assert (ended.score, ended.min_log_prob, ended.mean_log_prob) == (-1.25, -2.0, None)
    assert (cut.tokens, cut.ended) == (["a", "cat", "runs", "a", "cat"], False)
    assert ended.log_probs is ended.attention is None


def test_the_expected_quality_is_the_score_and_depends_on_the_end_too():
    words = np.zeros(len(VOCABULARY), np.float32)
    words[[DOG, END]] = 1, 0.25
    none = np.zeros_like(words)
    quality = Quality(np.zeros(1, np.float32), np.zeros(len(NUMBERS), np.float32), words, none)
    ((_, caption),) = captions_of(hypotheses((-0.5, [A, DOG, END])), VOCABULARY, quality)
    assert caption.score == pytest.approx(math.exp(1.25) - 0.1)
    assert (caption.mean_log_prob, caption.min_log_prob) == (-1.0, -1.5)


def test_the_quality_knows_the_other_captions_and_the_classes():
    none = np.zeros(len(VOCABULARY), np.float32)
    quality = Quality(np.zeros(1, np.float32), np.array([0, 0, 0, 0, 1, 10], np.float32), none, none)

    def share(tokens):
        return 0.5 if "dog" in tokens else 0.25

    found = hypotheses((-0.5, [A, DOG, END]), (-math.inf, []), (-1.0, [A, CAT, RUNS, A, END]))
    (_, dog), (_, cat) = captions_of(found, VOCABULARY, quality, share)
    mean = (-1.0 - 1.5) / 2
    assert math.log(dog.score + 0.1) == pytest.approx(mean + 5)
    assert math.log(cat.score + 0.1) == pytest.approx(mean + 2.5)
    ((_, bare), _) = captions_of(found, VOCABULARY, quality)
    assert math.log(bare.score + 0.1) == pytest.approx(mean)


def test_only_captions_that_are_wanted_are_made():
    quality, found = mock.Mock(**{"of.return_value": 0.5}), Distinct(1)
    found.add(captions_of(hypotheses((-0.5, [A, DOG, END]), (-1.0, [A, CAT, END])), VOCABULARY, quality))
    assert [each.text for each in found.best_first(None)] == ["A dog."]
    assert quality.of.call_count == 1


def test_every_word_has_its_figures_where_they_are_asked_for():
    ((_, caption),) = captions_of(hypotheses((-0.5, [A, DOG, END])), VOCABULARY, None, every_word=True)
    assert caption.log_probs == [-0.5, -1.0, -1.5]
    assert caption.attention == [[-0.5, -0.5], [-1.0, -1.0], [-1.5, -1.5]]


def test_rows_of_the_search_are_split_by_image():
    found = hypotheses(*((-number, [A, CAT, END]) for number in range(6)))
    rows = Hypotheses(*(tf.constant(part[:, None]) for part in found))  # three samples of each image, a row each
    first, second = by_image(rows, 2)
    assert first.rank.tolist() == [0, -1, -2]
    assert second.rank.tolist() == [-3, -4, -5]
    assert second.attention.shape == (3, 5, 2)


def caption(text, score=0.5):
    return Caption(text, text.split(), score, -1.0, True)


def test_captions_are_distinct_and_best_first_and_no_more_than_wanted():
    found = Distinct(3)
    found.add(iter([(-2.0, caption("a cat")), (-3.0, caption("a dog")), (-1.0, caption("a cat"))]))
    assert found.missing
    found.add(iter([(-2.5, caption("a ball")), (0.0, caption("too late"))]))
    assert not found.missing
    captions = found.best_first([Label("tabby", 0.5)])
    assert isinstance(captions, Captions)
    assert [each.text for each in captions] == ["a cat", "a ball", "a dog"]
    assert captions.labels == [Label("tabby", 0.5)]


@pytest.mark.parametrize("ranked", [[], [(-1.0, caption("a cat")), (-2.0, caption("a dog", math.nan))]])
def test_an_image_without_captions_or_with_a_score_that_is_no_number_has_none(ranked):
    found = Distinct(2)
    found.add(iter(ranked))
    assert isinstance(found.best_first(None), NoCaption)
