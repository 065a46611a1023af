"""CIDEr-D against pycocoevalcap, and by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.fitting.cider import Cider

WORDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=9)
CORPUS = st.lists(st.tuples(st.lists(WORDS, min_size=1, max_size=4), WORDS), min_size=2, max_size=6)


@given(CORPUS)
def test_equals_pycocoevalcap(corpus: list[tuple[list[list[str]], list[str]]]) -> None:
    theirs = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    _, expected = theirs.compute_score(
        {image: [" ".join(words) for words in references] for image, (references, _) in enumerate(corpus)},
        {image: [" ".join(caption)] for image, (_, caption) in enumerate(corpus)},
    )
    ours = Cider([references for references, _ in corpus])
    found = [ours.score(image, caption) for image, (_, caption) in enumerate(corpus)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_reference_itself_is_best() -> None:
    cider = Cider([[["a", "dog", "runs", "on", "grass"]], [["two", "people", "sit", "at", "a", "table"]]])
    assert cider.score(0, ["a", "dog", "runs", "on", "grass"]) == pytest.approx(10)
    assert cider.score(0, ["two", "people", "sit", "at", "a", "table"]) < 1
    assert cider.score(0, []) == 0
