"""Words and vocabularies: what is kept on purpose, and that nothing depends on order."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_job.model.vocabulary import END, PADDING, SPECIAL, START, UNKNOWN, Vocabulary
from train.data.text import build_vocabulary, repeated, words

TEXT = st.text(max_size=60)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog runs .", ["a", "dog", "runs"]),
        ("A well-known T-shirt, red/blue.", ["a", "well-known", "t-shirt", "red", "blue"]),
        ("the dog 's ball isn\u2019t", ["the", "dog's", "ball", "isn't"]),
        ("it does n't 'quote' -- dash", ["it", "doesn't", "quote", "dash"]),
        ("Ein M\u00e4dchen \u00fcber 2 B\u00e4chen", ["ein", "m\u00e4dchen", "\u00fcber", "2", "b\u00e4chen"]),
        ("\u0915\u0941\u0924\u094d\u0924\u093e \u0926\u094c\u0921\u093c\u0924\u093e", None),
        ("!?! ... '-'", []),
        ("", []),
    ],
)
def test_words(caption: str, expected: list[str] | None) -> None:
    if expected is None:  # a script whose vowel signs are marks stays whole
        expected = unicodedata.normalize("NFC", caption).split()
    assert words(caption) == expected


@given(TEXT)
def test_words_of_words_are_the_same(caption: str) -> None:
    once = words(caption)
    assert words(" ".join(once)) == once


@given(TEXT)
def test_words_are_tokens(caption: str) -> None:
    found = words(caption)
    assert all(word.split() == [word] and word not in SPECIAL for word in found)


@given(st.lists(TEXT, max_size=8), st.randoms())
def test_vocabulary_does_not_depend_on_order(captions: list[str], random) -> None:
    captions = [*captions, "a dog"]
    shuffled = random.sample(captions, len(captions))
    assert build_vocabulary(captions, 20).tokens == build_vocabulary(shuffled, 20).tokens


@given(st.lists(TEXT, max_size=8))
def test_encoding_and_decoding_return_every_known_caption(captions: list[str]) -> None:
    vocabulary = build_vocabulary([*captions, "a"], 100_000)
    for caption in captions:
        assert vocabulary.decode(vocabulary.encode(words(caption))) == words(caption)
    assert Vocabulary.from_lines(vocabulary.to_lines()).tokens == vocabulary.tokens


def test_size_and_least_frequency() -> None:
    captions = ["a a a dog dog cat", "bird"]
    assert build_vocabulary(captions, 6).tokens == (PADDING, UNKNOWN, START, END, "a", "dog")
    assert build_vocabulary(captions, 100, min_frequency=3).tokens[4:] == ("a",)
    vocabulary = build_vocabulary(captions, 6)
    assert vocabulary.encode(["cat", "dog"]) == [vocabulary.unknown_id, 5]


@pytest.mark.parametrize(("size", "least"), [(4, 1), (0, 1), (100, 9)])
def test_a_vocabulary_of_nothing_is_refused(size: int, least: int) -> None:
    with pytest.raises(ValueError, match="minimum frequency"):
        build_vocabulary(["a dog"], size, least)


def test_content_words_that_come_again_are_counted() -> None:
    assert repeated(words("A red bus and a red car.")) == 1
    assert repeated(words("dog dog dog")) == 2
    assert repeated(words("A man on a horse on the sand of the beach.")) == 0


def test_nouns_may_keep_their_capitals() -> None:
    caption = "Ein Mädchen läuft über die Brücke."
    assert words(caption, lowercase=False) == ["Ein", "Mädchen", "läuft", "über", "die", "Brücke"]
    vocabulary = build_vocabulary([caption], 100, lowercase=False)
    assert vocabulary.text(words("ein Mädchen", lowercase=False)) == "Ein Mädchen."
    assert "mädchen" not in vocabulary
