"""A prune names what it leaves: tables and sidecars that exports have written."""

import json

import pytest

from beam_job.prune.command import main
from tests.archives import KILLED, named


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


def export(output, options, **more):
    folder = output / "exports" / f"20260105T000000Z-{len(list((output / 'exports').iterdir())):06}"
    folder.mkdir()
    manifest = {"id": folder.name, "options": options, "counts": {"failed": 0}, "passed_over": 0, "failures": []}
    (folder / "manifest.json").write_text(json.dumps({**manifest, **more}))


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
    for options in exports:
        export(output, options)
    assert main([str(output), "--uris", str(named(tmp_path, [photos[0]]))]) == 0
    said = capsys.readouterr().out
    assert ("Prunes do not remove sidecars that exports wrote" in said) == stay
    assert (f"take all sidecars back: `python -m beam_job.export {output} --to xmp --undo`." in said) == stay


@pytest.mark.parametrize("left", [{"passed_over": 1}, {"counts": {"failed": 2}}])
def test_an_undo_that_left_sidecars_counts_as_none(tmp_path, photos, output, capsys, left):
    export(output, {"to": "xmp", "undo": True}, **left)  # nothing was there to take back
    export(output, {"to": "csv"})
    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]])), "--killed", KILLED]
    assert main(arguments) == 0
    assert "sidecars" not in capsys.readouterr().out
    export(output, {"to": "xmp"})
    export(output, {"to": "xmp", "undo": True}, **left)
    assert main([*arguments, "--delete"]) == 0
    said = capsys.readouterr().out
    assert "delete those beside these photos together with the photos.\n" in said
    assert "--undo" not in said  # it comes too late
