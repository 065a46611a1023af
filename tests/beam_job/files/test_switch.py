"""The document that a prune leaves: what is none of a prune's is refused, as it says which files to delete."""

import json

import pytest

from beam_job.files.document import UnreadableError
from beam_job.files.switch import SWITCH, Switch, read_switch

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
