"""Records that are written again for the same bytes, and images that are asked for their version."""

import json

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_job.images.download import FetchError
from beam_job.images.fetch import FetchLimits
from beam_job.records import EarlierCaption, Unchanged
from beam_job.runs.digest import digest64
from beam_job.runs.earlier import recheck
from beam_job.runs.earlier.copies import LostRecordError, copy_caption
from beam_job.runs.earlier.recheck import Recheck


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


class Versions:
    def version(self, uri):
        if uri == "gone":
            raise FetchError("not_found", "gone")
        return {"same": "1", "changed": "2", "nameless": None}[uri]


def test_images_are_asked_for_their_versions(monkeypatch):
    monkeypatch.setattr(recheck, "shared_fetcher", lambda limits, threads: Versions())
    ask = recheck._Ask(FetchLimits(), 2)
    ask.setup()
    rows = [(uri, {"id": uri}, ("fetch", "x", None), "1", (uri,)) for uri in ("same", "changed", "gone", "nameless")]
    changed, gone, counts = ask.process(rows)
    ask.teardown()
    assert changed == ("changed", {"id": "changed"}, ("fetch", "x", None), "2", ("changed",))
    assert gone == ("gone", {"id": "gone"}, ("fetch", "x", None), None, ("gone",))
    assert (counts.tag, counts.value) == ("counts", (0, 2, 0))
    assert Recheck(FetchLimits(), 2)._threads == 2


def test_digests_are_the_same_everywhere():
    assert digest64("a") == 0x40F89E395B66422F
    assert digest64("é") != digest64("e")
    assert 0 <= digest64("\ud800") < 2**64


def test_images_that_changed_leave_the_pipeline_and_the_others_are_counted(monkeypatch):
    monkeypatch.setattr(recheck, "shared_fetcher", lambda limits, threads: Versions())
    rows = [(uri, None, None, "1", ()) for uri in ("same", "changed", "gone", "nameless")]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        found = pipeline | beam.Create(rows) | Recheck(FetchLimits(), 2)
        expected = [("changed", None, None, "2", ()), ("gone", None, None, None, ())]
        assert_that(found.uris, equal_to(expected), label="uris")
        sums = found.counts | beam.CombineGlobally(lambda counts: [sum(each) for each in zip(*counts, strict=True)])
        assert_that(sums | beam.Map(lambda counts: counts[1]), equal_to([2]), label="counts")
