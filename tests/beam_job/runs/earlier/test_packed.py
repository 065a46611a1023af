"""Pairs that are grouped by their keys in compressed blocks."""

import json

import apache_beam as beam
from hypothesis import given
from hypothesis import strategies as st

from beam_job.runs.earlier.packed import GroupPacked, _Pack, pairs


def grouped(tmp_path, *collections):
    """The groups, each as its pairs."""
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        made = tuple(pipeline | f"{number}" >> beam.Create(found) for number, found in enumerate(collections))
        lines = made | GroupPacked() | beam.Map(lambda group: json.dumps(list(pairs(group))))
        _ = lines | beam.io.WriteToText(str(tmp_path / "groups"), num_shards=1)
    (path,) = tmp_path.glob("groups*")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_all_pairs_of_a_key_are_in_one_group(tmp_path):
    first = [(str(number), number) for number in range(3000)]
    second = [(str(number), None) for number in range(0, 6000, 2)]
    groups = grouped(tmp_path, first, second)
    assert sorted(map(repr, (tuple(pair) for group in groups for pair in group))) == sorted(map(repr, first + second))
    keys = [{key for key, _ in group} for group in groups]
    assert sum(map(len, keys)) == len(set().union(*keys))
    assert 900 < len(groups) <= 1024


_VALUE = st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.tuples(inner, inner))


@given(rows=st.lists(st.tuples(st.text(), _VALUE), max_size=10), large=st.booleans())
def test_what_is_packed_is_unpacked(rows, large):
    rows = [*rows, ("large", "x" * (40_000 if large else 0))]
    pack = _Pack()
    pack.start_bundle()
    blocks = [block for row in rows for block in pack.process(row)]
    assert (len(blocks) > 0) == large  # a block that is large enough leaves at once
    blocks += [block.value for block in pack.finish_bundle()]
    assert list(pack.finish_bundle()) == []
    found = [pair for number, block in blocks for pair in pairs((number, [block]))]
    assert sorted(map(repr, found)) == sorted(map(repr, rows))
