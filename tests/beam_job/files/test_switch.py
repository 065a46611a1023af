"""The document that a prune leaves: it says who owns the folder, and which files to delete, so others are refused."""

import json

import pytest

from beam_job.files.document import UnreadableError
from beam_job.files.switch import BEGUN, SWITCH, Switch, TakenOverError, begin, commit, read_switch

SAID = {"id": "20260101T000000Z-0a1b", "state": "switched", "replaced": ["run=1/manifest.json"], "deleted": ["a.jsonl"]}


def test_what_a_prune_wrote_is_read(tmp_path):
    assert read_switch(str(tmp_path)) is None
    (tmp_path / SWITCH).write_text(json.dumps(SAID))
    found = Switch(SAID["id"], "switched", ("run=1/manifest.json",), ("a.jsonl",))
    assert read_switch(str(tmp_path)) == found


@pytest.mark.parametrize(
    "odd",
    [
        {"id": "../1-a"},
        {"id": None},
        {"id": 5},
        {"state": "over"},
        {"state": None},
        {"replaced": "run=1"},
        {"deleted": None},
        {"deleted": ["../a"]},
        {"replaced": ["/a"]},
        {"replaced": [5]},
    ],
)
def test_what_is_not_as_a_prune_writes_it_is_refused(tmp_path, odd):
    (tmp_path / SWITCH).write_text(json.dumps({**SAID, **odd}))
    with pytest.raises(UnreadableError, match=r"^is not as a prune writes it$"):
        read_switch(str(tmp_path))


def test_what_another_has_switched_is_completed_before_the_folder_is_taken_over(tmp_path):
    (tmp_path / SWITCH).write_text(json.dumps(SAID))
    manifest = tmp_path / "run=1" / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text("old")
    manifest.with_name(f"manifest.json.{SAID['id']}.pruned").write_text("new")
    (tmp_path / "a.jsonl").write_text("old")
    begin(str(tmp_path), "20260102T000000Z-0")
    assert read_switch(str(tmp_path)) == Switch("20260102T000000Z-0", BEGUN)
    assert {path: path.read_text() for path in tmp_path.rglob("*.json*") if path.name != SWITCH} == {manifest: "new"}
    with pytest.raises(TakenOverError):
        commit(str(tmp_path), Switch(SAID["id"], "switched"))


@pytest.mark.parametrize("inside", ["run=1", "run=1/deeper", "exports", "exports/1"])
def test_files_behind_a_link_are_refused(tmp_path, inside):
    output, elsewhere = tmp_path / "output", tmp_path / "elsewhere"
    (elsewhere / "1").mkdir(parents=True)
    output.mkdir()
    (output / inside.partition("/")[0]).symlink_to(elsewhere)
    (tmp_path / "link").symlink_to("output")
    for names in ({"replaced": [], "deleted": [f"{inside}/a.json"]}, {"replaced": [f"{inside}/a.json"]}):
        (output / SWITCH).write_text(json.dumps({**SAID, **names}))
        with pytest.raises(UnreadableError, match=r"^names files in a folder that is a symbolic link$"):
            read_switch(str(output))
    (output / SWITCH).write_text(json.dumps({**SAID, "replaced": ["run=2/manifest.json"]}))
    assert read_switch(str(tmp_path / "link"))
