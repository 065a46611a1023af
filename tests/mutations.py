"""Real files broken at random."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def mutated(dice: Random, files: Sequence[bytes]) -> bytes:
    """One of the files with flipped bits, changed or missing bytes, or with a part of another one in it."""
    data = bytearray(dice.choice(files))
    for _ in range(dice.randint(1, 4)):
        place = dice.randint(0, len(data))
        match dice.choice(("flip", "byte", "cut", "end", "splice")):
            case "flip" if place < len(data):
                data[place] ^= 1 << dice.randrange(8)
            case "byte" if place < len(data):
                data[place] = dice.choice((0, 1, 127, 128, 254, 255))
            case "cut":
                del data[place : place + dice.randint(1, 64)]
            case "end":
                del data[place:]
            case "splice":
                other = dice.choice(files)
                start = dice.randrange(len(other))
                data[place:place] = other[start : start + dice.randint(1, 256)]
    return bytes(data)
