"""Lists broken at random: each row is read or named, within bounds, and nothing but a damaged list ends a job."""

import bz2
import gzip
import json
import lzma
import random
from collections import Counter

import pytest
import zstandard
from apache_beam.coders import FastPrimitivesCoder

from beam_job.cli import main
from beam_job.images.download import FetchError
from beam_job.images.fetch import Fetcher, FetchLimits
from beam_job.listing.list_file import ListError, Piece
from beam_job.listing.rows import BadRow, Fields, Row, rows
from beam_job.listing.uris import absolute
from beam_job.records import Failure
from tests.mutations import mutated
from tests.photos import photos
from tests.tiny_model import write_tiny_model

ROWS = [
    {"uri": "in/a.jpg", "n": "x"},
    {"uri": "file:///photos/a%00.jpg", "n": 'two\nlines, "and" commas'},
    {"uri": "a\0b.jpg", "n": None},
    {"uri": "file:///%FF/%E2%82%AC.jpg", "n": [1, {"a": [1e300, 2**70, -(2**63), True]}]},
    {"uri": "/photos/\u2028 ü\u0085.jpg", "n": json.loads("[" * 60 + "]" * 60)},
    {"uri": "file://localhost/none.jpg", "n": ""},
]


def deep(depth):
    return f'{{"uri": "b.jpg", "n": {"[" * depth}{"]" * depth}}}\n'


JSON_LINES = "".join(json.dumps(row) + "\n" for row in ROWS) + deep(490) + deep(98) + '{"uri": "c", "n": 1' + "0" * 5000
TABLE = "uri,n\r\n" + "".join(f'{row["uri"]},"{str(row["n"]).replace(chr(34), chr(34) * 2)}"\r\n' for row in ROWS)
TEXT = "\ufeff" + "".join(f"{row['uri']}\n" for row in ROWS)
STRAY = b'uri,n\na.jpg,"so called\nb.jpg,\rc.jpg,12"\n"d.jpg",""\n'
FILES = [JSON_LINES.encode(), TABLE.encode(), TEXT.encode(), STRAY, TEXT.encode("utf-16"), JSON_LINES[:99].encode()]
PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


def broken(dice):
    """A list's name, and its bytes, broken before or after they were compressed."""
    ending = dice.choice(["", "", *PACKERS])
    data = dice.choice(FILES) if ending and dice.random() < 0.5 else mutated(dice, FILES)
    packed = PACKERS[ending](data)
    return f"list.{dice.choice(['txt', 'csv', 'tsv', 'jsonl', 'json'])}{ending}", (
        mutated(dice, [packed]) if ending and dice.random() < 0.5 else packed
    )


def rows_or_refusal(path):
    try:
        return list(rows(Piece(path), Fields(carry=("n",))))
    except ListError as error:
        return str(error)


@pytest.mark.parametrize("part", range(5))
def test_lists_broken_at_random(tmp_path, part):
    fetcher, coder = Fetcher(FetchLimits()), FastPrimitivesCoder()
    refused = read = bad = 0
    for seed in range(1000 * part, 1000 * (part + 1)):
        name, data = broken(random.Random(seed))
        (tmp_path / name).write_bytes(data)
        found = rows_or_refusal(str(tmp_path / name))
        if isinstance(found, str):
            refused += 1
            assert found.startswith(f"The list {tmp_path / name} ")
            assert len(found) < 400 + len(str(tmp_path))
            continue
        for row in found:
            assert coder.decode(coder.encode(tuple(row))) == tuple(row)
            if isinstance(row, BadRow):
                bad += 1
                assert len(row.message) < 400
                assert row.message.isprintable()
                failure = Failure(row.place, "list", "bad_row", row.message)
            else:
                read += 1
                assert isinstance(row, Row)
                failure = Failure(absolute(row.uri), "fetch", "not_found", "", row.carried)
                if "://" not in row.uri or row.uri.startswith("file:"):
                    with pytest.raises(FetchError):
                        fetcher.fetch(row.uri)
            assert json.loads(failure.to_json())["uri"] == failure.uri
    assert min(refused, read, bad) > 100


@pytest.mark.usefixtures("colours")
def test_hostile_rows_cost_themselves_alone(tmp_path, capsys):
    write_tiny_model(tmp_path / "model")
    good = photos(tmp_path / "photos", 3)
    hostile = [*JSON_LINES.encode().splitlines(), b"\xff", b"x" * (2 << 20), b"{", b'"' * 9]
    (tmp_path / "list.jsonl").write_bytes(
        b"\n".join([*(json.dumps({"uri": str(path)}).encode() for path in good), *hostile])
    )
    argv = ["--uris", str(tmp_path / "list.jsonl"), "--carry", "n", "--output", str(tmp_path / "out")]
    assert main([*argv, "--model", str(tmp_path / "model"), "--runner", "DirectRunner"]) == 0
    assert (
        f"{len(good) + len(hostile)} images: 3 captioned, {len(hostile)} failed, 0 skipped" in capsys.readouterr().err
    )
    failures = [
        json.loads(line) for path in tmp_path.glob("out/run=*/failures-*") for line in path.read_bytes().splitlines()
    ]
    codes = Counter(failure["error"] for failure in failures)
    assert codes == {"bad_row": 6, "bad_uri": 2, "not_found": len(hostile) - 8}
