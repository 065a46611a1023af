"""The classes of a model's image classifier: what ``labels.tsv`` holds.

    labels = Labels.from_lines(["label\\twords\\n", "Egyptian cat\\tcat,cats,kitten\\n", "espresso\\tcoffee\\n"])
    labels.likely(np.array([0.74, 0.1]))  # [Label("Egyptian cat", 0.74)]

The file is a table with tabs in UTF-8. After the header each line is a class, in the order of the classifier's output:
its name, and everyday words for it with commas between them, possibly none.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from beam_job.records import Label

_HEADER = "label\twords"
_LEAST = 0.3  # probability of a label; at most three classes of an image can have as much


@dataclass(frozen=True)
class Labels:
    """The classes, in the order of the classifier's output.

    Attributes:
      names: the class's name for people, such as ``Egyptian cat``; no name occurs twice.
      words: everyday words for each class, such as ``cat``, ``cats`` and ``kitten``.
    """

    names: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> "Labels":
        """Reads the file format; raises ``ValueError`` at the first wrong line, which the message quotes."""
        names: dict[str, int] = {}
        words = []
        for number, line in enumerate(lines, 1):
            text = line.rstrip("\r\n")
            if number == 1:
                if text != _HEADER:
                    raise ValueError(f"line 1 is {_shown(text)}; it must be the header {_HEADER!r}.")
                continue
            name, tab, rest = text.partition("\t")
            if not tab or "\t" in rest:
                raise ValueError(f"line {number} is {_shown(text)}; it must be a label, a tab, and words with commas.")
            if not name or name != name.strip():
                raise ValueError(
                    f"line {number} has the label {_shown(name)}; it must be text without spaces around it."
                )
            if names.setdefault(name, number) != number:
                raise ValueError(f"lines {names[name]} and {number} both have the label {_shown(name)}.")
            found = tuple(rest.split(",")) if rest else ()
            if wrong := [word for word in found if not word or word != word.strip()]:
                raise ValueError(
                    f"line {number} has the word {_shown(wrong[0])}; put one comma between words, no space."
                )
            words.append(found)
        if not words:
            raise ValueError("it has no labels.")
        return cls(tuple(names), tuple(words))

    def to_lines(self) -> list[str]:
        """Writes the file format; each line ends with a newline."""
        rows = (f"{name}\t{','.join(words)}" for name, words in zip(self.names, self.words, strict=True))
        return [f"{row}\n" for row in (_HEADER, *rows)]

    def __len__(self) -> int:
        return len(self.names)

    def likely(self, probabilities: np.ndarray) -> list[Label]:
        """The labels of an image with these probabilities, float32 [classes]: at most three, likeliest first."""
        found = [
            Label(self.names[place], float(probabilities[place])) for place in np.flatnonzero(probabilities >= _LEAST)
        ]
        return sorted(found, key=lambda label: -label.probability)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")
