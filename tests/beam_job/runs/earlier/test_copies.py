"""Records that are written again for the same bytes."""

import json

import pytest

from beam_job.records import EarlierCaption, Unchanged
from beam_job.runs.digest import digest64
from beam_job.runs.earlier.copies import LostRecordError, copy_caption


@pytest.fixture
def place(tmp_path):
    """Where the record of ``old`` stands, as its only neighbour ends."""
    record = {"uri": "old", "caption": "A cat.", "version": "1", "sha256": "ab", "run": "1", "id": 1}
    line = json.dumps(record)
    path = tmp_path / "captions-1.jsonl"
    path.write_text(f'{{"uri": "x"}}\n{line}\n')
    return EarlierCaption("ab", str(path), len('{"uri": "x"}\n'), len(line), "old")


def test_a_copy_has_the_present_name_version_and_fields(place):
    found = copy_caption(Unchanged("new", {"id": 7, "album": "pets"}, "2", place))
    assert json.loads(found.to_json("9")) == {
        "uri": "new",
        "caption": "A cat.",
        "version": "2",
        "sha256": "ab",
        "run": "9",
        "id": 7,
        "album": "pets",
    }
    same = copy_caption(Unchanged("old", None, None, place._replace(uri=None)))
    assert (same.fields["uri"], same.fields["version"], same.fields["id"]) == ("old", None, 1)


@pytest.mark.parametrize(
    "change", [{"uri": None}, {"uri": "other"}, {"offset": 0}, {"length": 5}, {"path": "/none/captions-1.jsonl"}]
)
def test_a_record_that_is_no_longer_there_ends_the_run(place, change):
    gone = place._replace(**change)
    with pytest.raises(LostRecordError, match=rf"^{gone.path} was changed .*at byte {gone.offset} .*start the job"):
        copy_caption(Unchanged("new", None, None, gone))


def test_digests_are_the_same_everywhere():
    assert digest64("a") == 0x40F89E395B66422F
    assert digest64("é") != digest64("e")
    assert 0 <= digest64("\ud800") < 2**64
