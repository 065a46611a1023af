"""The words of a model: tokens to ids, ids to tokens, tokens to a sentence.

    vocabulary = Vocabulary.from_lines(["<pad>", "[UNK]", "<start>", "<end>", "dog", "a", "ball"])
    vocabulary.encode(["a", "dog"])  # [5, 4]
    vocabulary.text(["a", "dog"])    # "A dog."

The file format is one token per line in UTF-8; a token's line number, from 0, is its id.
"""

import re
from collections.abc import Iterable, Sequence

PADDING = "<pad>"
UNKNOWN = "[UNK]"
START = "<start>"
END = "<end>"
SPECIAL = (PADDING, UNKNOWN, START, END)

# Tokenised data sets, and models trained on them, set these apart from their word: "dog 's", "does n't".
_CLITIC = re.compile(r"\s+('(?:s|m|d|re|ve|ll|t)|n't)(?=\s|$)")


def join_clitics(text: str) -> str:
    """Joins each English clitic that stands apart to the word before it: "a dog 's ball" becomes "a dog's ball"."""
    return _CLITIC.sub(r"\1", text)


class Vocabulary:
    """An ordered set of tokens. The four special ones may be at any position: their ids are looked up.

    Attributes:
      tokens: every token, in the order of the ids.
      pad_id, unknown_id, start_id, end_id: ids of the special tokens.
    """

    def __init__(self, tokens: Iterable[str]):
        """Raises ValueError where a token is empty, holds white space, stands twice, or a special one is missing."""
        self.tokens = tuple(tokens)
        self._ids: dict[str, int] = {}
        for number, token in enumerate(self.tokens):
            if not token or token.split() != [token]:
                raise ValueError(
                    f"Vocabulary line {number + 1} is {token!r}: a token is not empty and has no white space."
                )
            if self._ids.setdefault(token, number) != number:
                raise ValueError(f"Vocabulary lines {self._ids[token] + 1} and {number + 1} both contain {token!r}.")
        missing = [token for token in SPECIAL if token not in self._ids]
        if missing:
            raise ValueError(f"The vocabulary lacks {', '.join(missing)}.")
        self.pad_id, self.unknown_id, self.start_id, self.end_id = (self._ids[token] for token in SPECIAL)

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> "Vocabulary":
        """Reads the file format; line ends are taken off."""
        return cls(line.rstrip("\r\n") for line in lines)

    def to_lines(self) -> list[str]:
        """Writes the file format; each line ends with a newline."""
        return [f"{token}\n" for token in self.tokens]

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Ids of the tokens; a token that the vocabulary lacks becomes ``unknown_id``."""
        return [self._ids.get(token, self.unknown_id) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Tokens of the ids; an id outside the vocabulary raises IndexError."""
        return [self.tokens[number] for number in _checked(ids, len(self))]

    def text(self, tokens: Sequence[str]) -> str:
        """The sentence for people, with a capital letter and a full stop; "" if there is no word.

        Special tokens are left out, and clitics are joined to their word: "A dog's ball." for "a", "dog", "'s", "ball".
        """
        sentence = join_clitics(" ".join(token for token in tokens if token not in SPECIAL))
        return sentence[:1].upper() + sentence[1:] + "." if sentence else ""


def _checked(ids: Iterable[int], size: int) -> Iterable[int]:
    for number in ids:
        if not 0 <= number < size:
            raise IndexError(f"Id {number} is outside the vocabulary of {size} tokens.")
        yield number
