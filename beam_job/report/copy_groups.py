"""Groups of photos that are copies: the same file under several names, or pictures that look alike.

Near-copies are pictures whose difference hashes differ in at most three of 64 bits. Two such hashes share one of four
blocks of 16 bits, so only hashes that share a block are compared (multi-index hashing).
"""

import json
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from beam_job.runs.record_file import ReplacedError

COPIES, NEAR_COPIES = "copies", "near_copies"

_BITS = 3  # in which the hashes of near-copies differ at most
_BLOCK = 16  # bits
_PLAIN = 4  # fewer bits than that set, or not set: a plain picture, whose hash says nothing
_NEIGHBOURS = 256  # hashes with the same block that each is compared with: some blocks are very common
_SHA256, _DHASH = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{16}")

Numbers = npt.NDArray[np.uint64]


class Group(NamedTuple):
    """Photos that are copies: ``kind`` is ``COPIES`` or ``NEAR_COPIES``, ``places`` are those of their records."""

    kind: str
    places: list[int]


class CopyGroups:
    """Finds groups among records that are added one at a time. Memory: 24 bytes per record, and the groups."""

    def __init__(self) -> None:
        self._files, self._hashes, self._places = array("Q"), array("Q"), array("Q")
        self._count = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Adds a record; a record of an older version of this package, which has no hashes, is in no group."""
        sha256, dhash = (str(record.get(name)) for name in ("sha256", "dhash"))
        if _SHA256.fullmatch(sha256) and _DHASH.fullmatch(dhash):
            self._files.append(int(sha256[:16], 16))
            self._hashes.append(int(dhash, 16))
            self._places.append(self._count)
        self._count += 1

    def find(self) -> list[Group]:
        """All groups, the largest first. A group of near-copies also contains exact copies of its photos."""
        files, hashes, places = (np.array(numbers, np.uint64) for numbers in (self._files, self._hashes, self._places))
        found = [Group(COPIES, places[members].tolist()) for members in _equal(files)]
        for members in _equal(_alike(hashes)):
            if len(set(files[members].tolist())) > 1:
                found.append(Group(NEAR_COPIES, places[members].tolist()))
        return sorted(found, key=lambda group: (-len(group.places), group))

    def images(self, groups: Iterable[Group], records: Iterable[Mapping[str, Any]]) -> dict[int, tuple[str, int, int]]:
        """URI, width and height of each photo in ``groups``, by its place; ``records`` are those that were added.

        Raises:
          ReplacedError: they are others by now: no photo is called a copy that is none.
        """
        wanted = {place for group in groups for place in group.places}
        files = {place: file for place, file in zip(self._places, self._files, strict=True) if place in wanted}
        found = {
            place: (record["uri"], int(record.get("width") or 0), int(record.get("height") or 0))
            for place, record in enumerate(records)
            if place in wanted and str(record.get("sha256")).startswith(f"{files[place]:016x}")
        }
        if len(found) < len(wanted):
            raise ReplacedError("Captions were added or removed while they were read; start again.")
        return found


def lines(groups: Iterable[Group], images: Mapping[int, tuple[str, int, int]]) -> Iterator[str]:
    """A line of JSON for each group: ``kind`` and ``uris``."""
    for group in groups:
        uris = sorted(images[place][0] for place in group.places)
        yield json.dumps({"kind": group.kind, "uris": uris}, ensure_ascii=False) + "\n"


def totals(groups: Iterable[Group]) -> dict[str, dict[str, int]]:
    """For each kind the number of groups, and of the photos in them."""
    found = {kind: {"groups": 0, "images": 0} for kind in (COPIES, NEAR_COPIES)}
    for group in groups:
        found[group.kind]["groups"] += 1
        found[group.kind]["images"] += len(group.places)
    return found


def _equal(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.intp]]:
    """The places of each value that is there more than once."""
    order = np.argsort(values, kind="stable")
    edges = np.flatnonzero(np.diff(values[order])) + 1
    starts, ends = np.append(0, edges), np.append(edges, len(values))
    for group in np.flatnonzero(ends - starts > 1):
        yield order[starts[group] : ends[group]]


def _alike(hashes: Numbers) -> npt.NDArray[np.int64]:
    """A number for each hash, the same for those that a chain of near ones connects; plain ones have their own."""
    values, which = np.unique(hashes, return_inverse=True)
    label = np.arange(len(values))
    for one, other in _near_pairs(values):
        while np.any(label[one] != label[other]):
            least = np.minimum(label[one], label[other])
            for ends in (one, other):
                np.minimum.at(label, label[ends], least)
                np.minimum.at(label, ends, least)
            label = label[label]
    while np.any(label != label[label]):
        label = label[label]
    found = label[which]
    bits = np.bitwise_count(hashes)
    plain = np.flatnonzero(np.minimum(bits, 64 - bits) < _PLAIN)
    found[plain] = len(values) + np.arange(len(plain))
    return found


def _near_pairs(values: Numbers) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Places of values that differ in few bits and are not plain, in pairs; some of very common blocks are missed."""
    bits = np.bitwise_count(values)
    told = np.flatnonzero(np.minimum(bits, 64 - bits) >= _PLAIN)
    for block in range(64 // _BLOCK):
        key = (values[told] >> np.uint64(_BLOCK * block)) & np.uint64((1 << _BLOCK) - 1)
        order = np.lexsort((values[told], key))
        key, places = key[order], told[order]
        here = np.arange(len(places))
        for step in range(1, _NEIGHBOURS + 1):
            here = here[here + step < len(places)]
            here = here[key[here] == key[here + step]]
            if not len(here):
                break
            one, other = places[here], places[here + step]
            near = np.bitwise_count(values[one] ^ values[other]) <= _BITS
            yield one[near], other[near]
