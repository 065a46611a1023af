"""What single records of earlier runs make known, and which of them are passed over."""

import json

import pytest
from apache_beam.pvalue import TaggedOutput

from beam_job.plan import measured
from beam_job.records import Caption, CaptionRecord, Content
from beam_job.report.run_records import open_source
from beam_job.runs.earlier.known import _Files, _Records, earlier_runs, key_of
from tests.closed_folders import closed
from tests.earlier_runs import DECODING, earlier_run

CAPTION = {"uri": "a", "caption": "A cat.", "version": "1", "sha256": "ab"}


def known(tmp_path, kind, rows, versions=False, renamed=None, alike=True):
    """What the lines make known, and how many of them were passed over."""
    path = tmp_path / f"{kind}-1.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(_Records(versions, renamed).process((str(path), (kind, "run=1", alike))))
    outputs = [output.value for output in found if isinstance(output, TaggedOutput)]
    return [pair for pair in found if not isinstance(pair, TaggedOutput)], sum(outputs)


@pytest.mark.parametrize(
    "odd", [{"uri": "b"}, {"uri": 5, "caption": "A cat."}, {"caption": "A cat."}, {**CAPTION, "uri": "\ud800"}, [], 5]
)
def test_an_image_without_a_caption_is_not_known(tmp_path, odd):
    assert known(tmp_path, "captions", [CAPTION, odd]) == ([("a", True)], 1)


@pytest.mark.parametrize(
    ("written", "damaged"),
    [(b'"width": 6', b'"width": \xff'), (b'"tokens"', b'"tok\xe9ns"'), (b'"ended": true', b'"ended": tru\0')],
)
def test_a_record_that_is_damaged_behind_its_digest_is_not_known(tmp_path, written, damaged):
    content = Content(5, "0" * 64, "0" * 16, "1")
    line = CaptionRecord(
        "a", 6, 4, "m", "CPU", [Caption("A cat.", ["cat"], -1.0, -1.0, True)], content=content
    ).to_json()
    path = tmp_path / "captions-1.jsonl"
    for data, expected in ((line.encode(), [("a", True)]), (line.encode().replace(written, damaged), [])):
        path.write_bytes(data + b"\n")
        found = list(_Records(versions=False, renamed=None).process((str(path), ("captions", "run=1", True))))
        assert [pair for pair in found if not isinstance(pair, TaggedOutput)] == expected
        assert len(found) == 1


def test_which_content_was_captioned(tmp_path):
    rows = [CAPTION, {**CAPTION, "uri": "b", "version": 5, "sha256": ["ab"]}, {"uri": "c", "caption": ""}]
    found, passed_over = known(tmp_path, "captions", rows, versions=True)
    path, lengths = str(tmp_path / "captions-1.jsonl"), [len(json.dumps(row)) for row in rows]
    assert found == [
        ("a", (2, "run=1", "1", "ab", path, 0, lengths[0])),
        ("b", (2, "run=1", None, None, path, lengths[0] + 1, lengths[1])),
        ("c", (2, "run=1", None, None, path, lengths[0] + lengths[1] + 2, lengths[2])),
    ]
    assert passed_over == 0


def test_what_was_captioned_under_an_old_name_is_known_under_the_new_one(tmp_path):
    rows = [{**CAPTION, "uri": "/old/a"}, {**CAPTION, "uri": "/other/old/b"}]
    found, _ = known(tmp_path, "captions", rows, renamed=("/old/", "/new/"))
    assert [uri for uri, _ in found] == ["/old/a", "/new/a", "/other/old/b"]
    assert found[1][1] == (*found[0][1], "/old/a")
    failure = {"uri": "/old/a", "stage": "fetch", "error": "not_found"}
    found, _ = known(tmp_path, "failures", [failure], renamed=("/old/", "/new/"))
    assert found == [(uri, ("run=1", "fetch", "not_found", None)) for uri in ("/old/a", "/new/a")]


def test_which_failures_are_known(tmp_path):
    failure = {"uri": "a", "stage": "decode", "error": "corrupt", "sha256": "ab"}
    model = {**failure, "stage": "infer"}
    repeated = {**failure, "known": True}
    row = {"uri": "x.csv#3", "stage": "list", "error": "bad_row", "message": "At line 3: odd."}
    odd = [{**failure, name: value} for name, value in (("uri", "\ud800"), ("stage", None), ("error", "\ud800"))]
    expected = [("a", ("run=1", "decode", "corrupt", "ab")), ("x.csv#odd.", ("run=1", "list", "bad_row", None))]
    assert known(tmp_path, "failures", [failure, repeated, model, row, *odd], alike=False) == (expected, 3)
    assert known(tmp_path, "failures", [model])[0] == [("a", ("run=1", "infer", "corrupt", "ab"))]


def test_bad_rows_have_the_key_of_their_list_and_fault():
    assert key_of("x.csv#3", "list", "At line 3: odd.") == key_of("x.csv#9", "list", "At line 9: odd.") == "x.csv#odd."
    assert key_of("a#1/x#b.csv#3", "list", "At line 3: odd.") == "a#1/x#b.csv#odd."
    assert key_of("x.csv#3", "list", "At line 3: " + "o" * 300) == "x.csv#" + "o" * 200
    for other in (("x.csv#3", "fetch"), ("x.csv#c", "list"), ("3", "list"), ("x.csv", "list")):
        assert key_of(*other, "At line 3: odd.") == other[0]


def files(folder, **wanted):
    found = list(_Files(wanted.pop("model", "m"), wanted.pop("decoding", DECODING), captions=True).process(str(folder)))
    outputs = [output.value for output in found if isinstance(output, TaggedOutput)]
    return dict(pair for pair in found if not isinstance(pair, TaggedOutput)), sum(outputs)


def test_which_files_of_a_run_are_read(tmp_path):
    run = earlier_run(tmp_path / "run=1", captions=["a"], failures=[("b", "fetch", "not_found")])
    captions, failures = f"{run}/captions-1.jsonl", f"{run}/failures-1.jsonl"
    alike = {captions: ("captions", "run=1", True), failures: ("failures", "run=1", True)}
    assert files(run) == (alike, 0)
    for other in ({"model": "n"}, {"decoding": DECODING | {"beam_width": 2}}):
        assert files(run, **other) == ({failures: ("failures", "run=1", False)}, 0)
    killed = earlier_run(tmp_path / "run=2", finished=False, captions=["a"], failures=[("b", "fetch", "not_found")])
    assert files(killed)[0].keys() == {f"{killed}/captions-1.jsonl"}
    (tmp_path / "run=3").mkdir()
    assert files(tmp_path / "run=3") == ({}, 1)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["captions"].append({"name": "../x"})
    manifest["failures"][0]["known"] = 1
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert files(run) == ({captions: alike[captions]}, 1)


def test_what_is_passed_over_is_named(tmp_path, caplog):
    run = earlier_run(tmp_path / "run=1", captions=["a"], failures=[])
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["captions"].append({"name": "../secret.jsonl"})
    (run / "manifest.json").write_text(json.dumps(manifest))
    found = list(_Files("m", DECODING, captions=True).process(str(run)))
    assert found[0] == (f"{run}/captions-1.jsonl", ("captions", "run=1", True))
    assert [output.value for output in found if isinstance(output, TaggedOutput)] == [1]
    odd = "manifest.json names 1 file that a run does not write, such as '../secret.jsonl'."
    assert [record.getMessage() for record in caplog.records] == [f"Passed over: '{run}': {odd}"]
    caplog.clear()
    (passed_over,) = _Files("m", DECODING, captions=True).process(f"{tmp_path}/run=2")
    assert passed_over.value == 1
    assert caplog.records[0].getMessage().startswith(f"Passed over: '{tmp_path}/run=2': ")


def test_a_run_that_this_account_may_not_read_is_passed_over(tmp_path, caplog):
    run, other = (earlier_run(tmp_path / f"run={number}", captions=["a"]) for number in (1, 2))
    with closed(run):
        assert earlier_runs(str(tmp_path), "3") == [str(run), str(other)]
        assert files(run) == ({}, 1)
    assert f"'{run}': manifest.json cannot be read: this account lacks permission" in caplog.text
    killed = earlier_run(tmp_path / "run=3", finished=False, captions=["a"])
    with closed(killed, refused=["listdir"]):
        assert files(killed) == ({}, 1)
    assert "its files cannot be listed: this account lacks permission" in caplog.text


def test_a_linked_run_is_passed_over(tmp_path, caplog):
    elsewhere = earlier_run(tmp_path / "elsewhere" / "run=1", captions=["a"], seconds=0.5)
    link = tmp_path / "out" / "run=1"
    link.parent.mkdir()
    link.symlink_to(elsewhere)
    assert earlier_runs(str(tmp_path / "out"), "3") == [str(link)]
    assert files(link) == ({}, 1)
    assert f"'{link}': it is a symbolic link, which is not followed." in caplog.text
    for named in (link, tmp_path / "elsewhere"):  # a person may name a link
        assert (measured(str(named), 1), len(open_source(str(named)).problems)) == (2.0, 0)
