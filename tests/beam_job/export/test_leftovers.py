"""What killed exports leave goes; what a running one is writing stays."""

import os

from beam_job.export.leftovers import delete_parts, delete_unfinished, running, unfinished


def test_unfinished_files_go_once_nobody_writes_them(tmp_path):
    (tmp_path / ".captioner-killed.tmp").write_bytes(b"half")
    (tmp_path / "a.xmp.tmp").touch()
    with unfinished(str(tmp_path / "b.xmp")) as file:
        delete_unfinished(str(tmp_path))
        assert {path.name for path in tmp_path.iterdir()} == {"a.xmp.tmp", os.path.basename(file.name)}
    assert [path.name for path in tmp_path.iterdir()] == ["a.xmp.tmp"]
    delete_unfinished(str(tmp_path / "no such folder"))


def test_parts_of_tables_go_once_their_export_has_ended(tmp_path):
    unique = "0" * 32
    parts = [f"part-{unique}.jsonl", "table.csv", f"table.json.{unique}.tmp"]
    kept = [f"failures-{unique}.jsonl", "table.json", "notes.txt"]
    for export in ("killed", "running", "finished"):
        (tmp_path / export).mkdir()
        for name in (*parts, *kept):
            (tmp_path / export / name).touch()
    (tmp_path / "finished" / "manifest.json").touch()
    (tmp_path / "a file").touch()
    with running(str(tmp_path / "running")):
        delete_parts(str(tmp_path))
    found = {export: sorted(os.listdir(tmp_path / export)) for export in ("killed", "running", "finished")}
    assert found == {
        "killed": sorted(kept),
        "running": sorted([*parts, *kept]),
        "finished": sorted([*parts, *kept, "manifest.json"]),
    }


def test_parts_behind_a_link_stay(tmp_path):
    (tmp_path / "elsewhere" / "1").mkdir(parents=True)
    table = tmp_path / "elsewhere" / "1" / "table.csv"
    table.touch()
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "1").symlink_to(tmp_path / "elsewhere" / "1")
    delete_parts(str(tmp_path / "exports"))
    (tmp_path / "linked").symlink_to("elsewhere")
    delete_parts(str(tmp_path / "linked"))
    assert table.exists()
    delete_parts(str(tmp_path / "elsewhere"))
    assert not table.exists()
