"""``labels.tsv``: what is written is read, what is wrong is refused; and the labels of an image."""

import numpy as np
import pytest

from beam_job.model.answer.labels import Labels
from beam_job.records import Label
from tests.tiny_model import LABELS


def test_what_was_written_is_read():
    assert LABELS.to_lines()[:3] == ["label\twords\n", "tabby\tcat\n", "Egyptian cat\tcat,kitten\n"]
    assert Labels.from_lines(LABELS.to_lines()) == LABELS
    assert Labels.from_lines(line.replace("\n", "\r\n") for line in LABELS.to_lines()) == LABELS
    assert len(LABELS) == 6
    assert LABELS.words[5] == ()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "it has no labels."),
        (["label\twords"], "it has no labels."),
        (["name\twords", "tabby\tcat"], r"line 1 is 'name\twords'; it must be the header 'label\twords'."),
        (["tabby\tcat"], "line 1 is 'tabby"),
        (["label\twords", "tabby"], "line 2 is 'tabby'; it must be a label, a tab, and words with commas."),
        (["label\twords", "tabby\tcat\tcats"], "line 2 is 'tabby"),
        (["label\twords", "tabby\tcat", ""], "line 3 is ''"),
        (["label\twords", "\tcat"], "line 2 has the label ''; it must be text without spaces around it."),
        (["label\twords", " tabby\tcat"], "line 2 has the label ' tabby'"),
        (["label\twords", "tabby\tcat", "pug\tdog", "tabby\tcats"], "lines 2 and 4 both have the label 'tabby'."),
        (["label\twords", "tabby\tcat,,cats"], "line 2 has the word ''; put one comma between words, no space."),
        (["label\twords", "tabby\tcat, cats"], "line 2 has the word ' cats'"),
        (["label\twords", "x" * 10_000], "line 2 is 'xxx"),
    ],
)
def test_wrong_lines_are_named(lines, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Labels.from_lines(lines)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


def test_an_image_has_the_labels_that_are_likely_enough():
    found = LABELS.likely(np.array([0.25, 0.5, 0.2, 0, 0.125, 0]))
    assert found == [Label("Egyptian cat", 0.5)]
    found = LABELS.likely(np.array([0.3125, 0.375, 0.299, 0, 0, 0]))
    assert found == [Label("Egyptian cat", 0.375), Label("tabby", 0.3125)]
    assert LABELS.likely(np.full(6, 1 / 6)) == []
