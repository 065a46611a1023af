"""Splits captions into words, and builds vocabularies from words.

words("A dog 's ball, well-known !")  # ["a", "dog's", "ball", "well-known"]
vocabulary = build_vocabulary(captions, size=20_000, min_frequency=4)
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from beam_job.model.vocabulary import SPECIAL, Vocabulary, join_clitics
from train.errors import TrainError

_APOSTROPHES = str.maketrans("\u2019\u02bc\u2010\u2011", "''--")


def words(caption: str, lowercase: bool = True) -> list[str]:
    """The words of a caption, in lower case unless ``lowercase`` is false.

    Letters of every script, their accents and digits are kept, and so are hyphens and apostrophes inside a word
    ("well-known", "dog's"). Everything else separates words. A separated clitic is joined to its word again.
    """
    caption = caption.lower() if lowercase else caption
    caption = unicodedata.normalize("NFC", caption).translate(_APOSTROPHES).replace("--", " ")
    caption = "".join(letter if _is_kept(letter) else " " for letter in caption)
    bare = (word.strip("'-") for word in join_clitics(caption).split())
    return [word for word in bare if word]


def repeated(caption: Sequence[str]) -> int:
    """How many of a caption's words repeat a content word: 1 for "a red bus and a red car"."""
    content = [word for word in caption if word not in _FUNCTION_WORDS]
    return len(content) - len(set(content))


def build_vocabulary(captions: Iterable[str], size: int, min_frequency: int = 1, lowercase: bool = True) -> Vocabulary:
    """The most frequent words of the captions.

    Args:
      captions: sentences by people.
      size: maximum number of tokens in the vocabulary, including the four special ones.
      min_frequency: rarer words are left out; they become ``[UNK]``.
      lowercase: see ``words``.

    Raises:
      TrainError: no word is left.
    """
    counts = Counter(word for caption in captions for word in words(caption, lowercase))
    # Ties are broken by the word itself, so that the order of the data does not change the ids.
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    kept = [word for word in ranked if counts[word] >= min_frequency][: max(size - len(SPECIAL), 0)]
    if not kept:
        raise TrainError(
            f"No word of the captions ({len(counts)} different ones) fits a vocabulary of {size} tokens with a minimum "
            f"frequency of {min_frequency}: lower the frequency or check the captions."
        )
    return Vocabulary([*SPECIAL, *kept])


def _is_kept(letter: str) -> bool:
    """Marks (Unicode category M) belong to their letter: the vowel signs of Indic scripts, say."""
    return letter.isalnum() or letter in "'-" or unicodedata.category(letter).startswith("M")


# English words that may stand twice in a good caption.
_FUNCTION_WORDS = frozenset(
    words(
        "a an the and or of in on at to by for from with into onto over under up down out off through near next behind "
        "beside between around across along is are be being has have while as that who which it its his her their one "
        "two three another other some"
    )
)
