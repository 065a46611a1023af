"""Two runs over the same images: how each image's caption differs."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_job.report.run_records import Reviewed
from beam_job.report.sample import Sample
from beam_job.runs.digest import digest64
from beam_job.runs.folder import CAPTIONS

_CHUNK = 4096


@dataclass
class Comparison:
    """Counts of the images of two runs, and a sample of those that both captioned.

    Attributes:
      both: number of images captioned by both runs; ``same`` of them have the same caption.
      only: numbers of images captioned only by the first run, only by the second run.
      pairs: (record of the first run, record of the second, whether it is among the greatest changes of score).
    """

    both: int
    same: int
    only: tuple[int, int]
    pairs: list[tuple[dict[str, Any], dict[str, Any], bool]]


def compare(
    first: Reviewed,
    second: Reviewed,
    sample: Sample,
    seen: tuple[Callable[[dict[str, Any]], None], Callable[[dict[str, Any]], None]],
) -> Comparison:
    """Joins the records of two runs by URI. Memory: 20 bytes for each image of the first run, and the sample.

    Args:
      sample: receives the pairs, with those whose score changed most first.
      seen: called with every record of the first and of the second run.
    """
    uris, captions, scores = array("Q"), array("Q"), array("f")
    for record in first.read(CAPTIONS):
        seen[0](record)
        uris.append(digest64(record["uri"]))
        captions.append(digest64(record["caption"]))
        scores.append(record["score"])
    keys = np.frombuffer(uris, np.uint64) if uris else np.zeros(0, np.uint64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    matched = np.zeros(len(keys), bool)
    both = same = new = 0
    chunk: list[dict[str, Any]] = []

    def join() -> None:
        nonlocal both, same, new
        wanted = np.array([digest64(record["uri"]) for record in chunk], np.uint64)
        places = np.searchsorted(keys, wanted)
        for record, key, place in zip(chunk, wanted, places, strict=True):
            if place == len(keys) or keys[place] != key:
                new += 1
                continue
            matched[place] = True
            row = int(order[place])
            both += 1
            equal = captions[row] == digest64(record["caption"])
            same += equal
            sample.add(record, 0.0 if equal else -abs(record["score"] - scores[row]) - 1e-6)
        chunk.clear()

    for record in second.read(CAPTIONS):
        seen[1](record)
        chunk.append(record)
        if len(chunk) == _CHUNK:
            join()
    join()
    chosen = sample.records()
    wanted = {record["uri"] for record, _ in chosen}
    before = {record["uri"]: record for record in first.read(CAPTIONS) if record["uri"] in wanted}
    pairs = [(before[record["uri"]], record, most) for record, most in chosen if record["uri"] in before]
    return Comparison(both, same, (len(keys) - int(matched.sum()), new), pairs)
