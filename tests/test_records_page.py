"""The query of docs/records.md picks the captions that the rule of that page names."""

import json
import re
from pathlib import Path

import duckdb
import pytest

from beam_job.model.decoding import decoding_digest
from beam_job.runs.current import caption_files
from tests.earlier_runs import DECODING, earlier_run

PAGE = (Path(__file__).parents[1] / "docs" / "records.md").read_text()
TRIAL = DECODING | {"strategy": "sample"}
# Of each run: model, decoding, what it captioned.
RUNS = [("m", DECODING, "ab"), ("m", TRIAL, "ab"), ("m", DECODING, ""), ("n", DECODING, "a"), ("m", DECODING, "bc")]


@pytest.mark.parametrize("runs", range(1, len(RUNS) + 1))
def test_the_query_of_current_captions(tmp_path, runs):
    records, manifests = [], []
    for number, (model, decoding, uris) in enumerate(RUNS[:runs]):
        run = earlier_run(tmp_path / f"run={number}", model=model, decoding=decoding, captions=uris)
        digest = decoding_digest(decoding)
        records += [{"uri": uri, "model": model, "decoding": digest, "run": str(number)} for uri in uris]
        manifests.append({**json.loads((run / "manifest.json").read_text()), "decoding": digest})
    (query,) = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (columns,) = re.findall(r"jq -c '\{(.*?)\}'", PAGE)
    database = duckdb.connect()
    database.execute("CREATE SCHEMA archive")
    for table, names, rows in (
        ("captions", ("uri", "model", "decoding", "run"), records),
        ("runs", columns.split(", "), manifests),
    ):
        database.execute(f"CREATE TABLE archive.{table} ({', '.join(f'{name} VARCHAR' for name in names)})")
        marks = ", ".join("?" for _ in names)
        database.executemany(
            f"INSERT INTO archive.{table} VALUES ({marks})", [[row[name] for name in names] for row in rows]
        )
    expected = {}
    for file in caption_files(str(tmp_path)):
        for line in Path(file.path).read_text().splitlines():
            expected.setdefault(json.loads(line)["uri"], file.run)
    assert {uri: run for uri, _, _, run in database.execute(query).fetchall()} == expected
