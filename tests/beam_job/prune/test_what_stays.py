"""A prune names what it leaves: tables and sidecars that exports have written."""

import json

import pytest

from beam_job.prune.command import main
from tests.archives import named


def test_a_table_that_was_exported_is_named(tmp_path, photos, output, capsys):
    table = output / "captions.csv"
    table.write_text("uri,caption\n")
    export = next((output / "exports").iterdir())
    (export / "table.json").write_text(json.dumps({"path": str(table), "sha256": ""}))
    assert main([str(output), "--uris", str(named(tmp_path, [photos[0]]))]) == 0
    assert (
        f"{table} was exported before, and may name these photos: export it again afterwards."
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("exports", "stay"),
    [
        ([], False),
        ([{"to": "csv"}], False),
        ([{"to": "xmp", "undo": False, "dry_run": False}], True),
        ([{"to": "xmp", "dry_run": True}], False),
        ([{"to": "xmp"}, {"to": "xmp", "undo": True}], False),
        ([{"to": "xmp"}, {"to": "xmp", "undo": True, "dry_run": True}], True),
        ([{"to": "xmp", "undo": True}, {"to": "xmp"}, {"to": "parquet"}], True),
        (["odd", {"to": 3}], False),
    ],
)
def test_sidecars_that_were_exported_are_named(tmp_path, photos, output, capsys, exports, stay):
    for number, options in enumerate(exports):
        folder = output / "exports" / f"20260105T000000Z-00000{number}"
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps({"id": folder.name, "options": options, "failures": []}))
    assert main([str(output), "--uris", str(named(tmp_path, [photos[0]]))]) == 0
    said = capsys.readouterr().out
    assert ("Sidecars that were exported stay" in said) == stay
    assert (f"beam_job.export {output} --to xmp --undo`." in said) == stay
