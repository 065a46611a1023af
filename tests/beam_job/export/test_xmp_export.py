"""Exports to sidecars: what fails, what is chosen, what people wrote, and options."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from beam_job.export.command import main
from beam_job.export.xmp.description import Description
from beam_job.export.xmp.places import ADOBE, FULL
from beam_job.export.xmp.sidecar import put
from beam_job.export.xmp.write import Sidecars, _placed, _write
from beam_job.model.decoding import decoding_digest
from beam_job.trust.trust_file import Threshold, Trust, write_trust
from tests.beam_job.export.archive import contents, counts, export, failures, last_counts, run_of
from tests.beam_job.export.sidecars import DARKTABLE, HOSTILE
from tests.earlier_runs import DECODING


def test_each_bad_sidecar_is_a_failure_and_stays(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    wanted = {}
    for number, (data, code) in enumerate(HOSTILE.values()):
        uri = photos / f"{number}.jpg"
        uri.touch()
        Path(f"{uri}.xmp").write_bytes(data)
        wanted[str(uri)] = code
    (photos / "folder.jpg").touch()
    (photos / "folder.jpg.xmp").mkdir()
    (photos / "dangling.jpg").touch()
    (photos / "dangling.jpg.xmp").symlink_to("nowhere")
    (photos / ("n" * 251 + ".jpg")).touch()
    (photos / "itself.xmp").write_bytes(b"\xff\xd8")
    wanted |= {str(photos / "folder.jpg"): "not_a_file", str(photos / "dangling.jpg"): "not_a_file"}
    wanted |= {str(photos / f"{'n' * 251}.jpg"): "cannot_access", str(photos / "gone.jpg"): "not_found"}
    wanted |= {"file://host/a.jpg": "bad_uri", "a\0.jpg": "bad_uri"}
    captions = run_of(tmp_path / "captions", [*wanted, "https://example.org/a.jpg", "s3://bucket/a.jpg"])
    before = contents(photos)
    assert export(captions) == counts(failed=len(wanted), left_out=2)
    assert failures(captions) == wanted
    assert contents(photos) == before
    found = export(captions, "--undo")
    assert (found["written"], contents(photos)) == (0, before)


def test_two_photos_of_one_name_conflict_only_where_they_share_a_sidecar(tmp_path, capsys):
    for name in ("a.jpg", "a.png", "b.jpg", "no_suffix", ".hidden", "c.d.jpg"):
        (tmp_path / name).touch()
    uris = [str(tmp_path / name) for name in ("a.jpg", "a.png", "b.jpg", "no_suffix", ".hidden", "c.d.jpg")]
    captions = run_of(tmp_path / "captions", [*uris, str(tmp_path / "x.xmp")])
    assert export(captions, "--sidecar", "adobe") == counts(written=4, failed=3)
    assert failures(captions) == {
        uris[0]: "conflict",
        uris[1]: "conflict",
        str(tmp_path / "x.xmp"): "bad_uri",
    }
    assert {path.name for path in tmp_path.glob("*.xmp")} == {"b.xmp", "no_suffix.xmp", ".hidden.xmp", "c.d.xmp"}
    assert "2 failed: export/conflict" in capsys.readouterr().err
    assert export(captions) == counts(written=4, unchanged=2, failed=1), "some names are the same in both kinds"
    assert export(captions, "--undo") == counts(written=8), "both kinds go"
    assert not list(tmp_path.glob("*.xmp"))


@pytest.mark.parametrize("kind", [ADOBE, FULL])
def test_two_names_of_one_photo_are_advised_to_go_and_two_photos_to_use_other_sidecars(kind):
    def advice(*uris):
        sidecars = Sidecars(kind)
        placed = [_placed({"uri": uri, "caption": "A dog."}, sidecars) for uri in uris]
        (sidecar,) = {sidecar for sidecar, _ in placed}
        outcomes = _write((sidecar, [wanted for _, wanted in placed]), sidecars)
        assert [(outcome.uri, outcome.code) for outcome in outcomes] == [(uri, "conflict") for uri in sorted(uris)]
        (message,) = {outcome.message for outcome in outcomes}
        return message

    said = advice("file:///p/a.jpg", "/p/a.jpg")
    assert said.startswith("2 URIs name one file, which can have one caption, such as /p/a.jpg, file:///p/a.jpg. List")
    assert "beam_job.prune DIR --uris FILE --delete" in said
    assert "--sidecar" not in said
    if kind == ADOBE:
        assert advice("/p/a.jpg", "/p/a.png").endswith("use --sidecar full to give each its own.")
        assert advice("/p/a.jpg", "file:///p/a.jpg", "/p/a.png").startswith("2 URIs name one file")


def test_odd_names_get_their_sidecars(tmp_path):
    names = ["a [1]*?.jpg", "ünï\u0301.jpg", "sp ace & <b>'\".jpg", "-rf.jpg", "100%25.jpg", "\U0001f415.jpg", "#x.jpg"]
    for name in names:
        (tmp_path / name).touch()
    uris = [str(tmp_path / name) for name in names[1:]]
    captions = run_of(tmp_path / "captions", [*uris, f"file://{tmp_path}/a%20%5B1%5D%2A%3F.jpg"])
    assert export(captions) == counts(written=len(names))
    assert {path.name for path in tmp_path.glob("*.xmp")} == {f"{name}.xmp" for name in names}
    assert export(captions) == counts(unchanged=len(names))


def test_what_a_person_wrote_since_is_kept_and_newer_captions_replace_ours(tmp_path):
    photos = [tmp_path / f"{name}.jpg" for name in "abc"]
    for photo in photos:
        photo.touch()
    captions = run_of(tmp_path / "captions", [str(photo) for photo in photos])
    assert export(captions) == counts(written=3)
    edited = Path(f"{photos[0]}.xmp")
    edited.write_bytes(edited.read_bytes().replace(b"A photo, ", b"Rex and "))
    theirs = edited.read_bytes()
    newer = [{"uri": str(photo), "caption": "Newer."} for photo in photos[:2]]
    run_of(captions, newer, "run=20260202T030405Z-000000", model="n")
    assert export(captions) == counts(written=1, kept=1)
    assert edited.read_bytes() == theirs
    assert b"Newer." in Path(f"{photos[1]}.xmp").read_bytes()
    assert export(captions, "--run", "run=20260102T030405Z-a1b2c3") == counts(written=1, unchanged=1, kept=1)
    assert export(captions, "--model", "m") == counts(unchanged=2, kept=1)
    assert export(captions, "--overwrite") == counts(written=2)
    assert b"Newer." in edited.read_bytes()
    assert export(captions, "--undo") == counts(written=3)
    assert b"Rex and" in edited.read_bytes(), "a person's text is there again"
    assert [path.name for path in tmp_path.glob("*.xmp")] == ["a.jpg.xmp"]


def review(record, verdict, caption=None):
    """A row of a reviews file."""
    own = {"uri": record["uri"], "verdict": verdict, "caption": caption, "shown": record["caption"], "model": "m"}
    about = {"decoding": decoding_digest(DECODING), "run": "r", "score": -1.0, "probability": None}
    return json.dumps({**own, **about, "time": "2026-02-02T03:04:05Z", "reviewer": "Jo"}) + "\n"


def test_what_is_chosen_and_what_people_said(tmp_path, capsys):
    records = [
        {"uri": str(tmp_path / "a.jpg"), "caption": "Sure.", "score": -0.1, "tags": "dog, park ,dog,"},
        {"uri": str(tmp_path / "b.jpg"), "caption": "Unsure.", "score": -2, "tags": ["cat", 5]},
        {"uri": str(tmp_path / "c.jpg"), "caption": "Nearly.", "score": -9},
        {"uri": str(tmp_path / "d.jpg"), "caption": "Wrong.", "score": -0.1},
        {"uri": str(tmp_path / "e.jpg"), "caption": "Right.", "score": -9},
    ]
    for record in records:
        Path(record["uri"]).touch()
    sidecars = [Path(f"{record['uri']}.xmp") for record in records]
    captions = run_of(tmp_path / "captions", records, carry="id,tags")
    assert export(captions, "--min_score", "-1", "--keywords", "tags") == counts(written=2, left_out=3)
    both = Description("Sure.", "beam-captioner, model m", ("dog", "park"))
    assert sidecars[0].read_bytes() == put(None, both)[1]

    (captions / "reviews").mkdir()
    said = [review(records[2], "corrected", "Mine."), review(records[3], "wrong"), review(records[4], "right")]
    (captions / "reviews" / "1.jsonl").write_text("".join(said))
    assert export(captions, "--min_score", "-1", "--keywords", "tags") == counts(written=3, unchanged=1, left_out=1)
    assert sidecars[2].read_bytes() == put(None, Description("Mine.", ""))[1]
    assert not sidecars[3].exists(), "what was called wrong is taken back"
    assert export(captions, "--min_score", "-1", "--keywords", "tags") == counts(unchanged=3, left_out=2)

    assert main([str(captions), "--to", "xmp", "--at_least", "90%"]) == 2
    assert "--at_least: trust.json does not exist; review some captions" in capsys.readouterr().err
    threshold = Threshold(-2.0, 5, 3, 0.5, 0.2, 0.8)
    trust = Trust("m", decoding_digest(DECODING), 3, "2026-02-02", 5, ((-2.0, 0.4), (-0.1, 0.95)), (threshold,))
    write_trust(str(captions), trust)
    assert export(captions, "--at_least", "90%", "--keywords", "tags") == counts(unchanged=3, left_out=2)
    assert main([str(captions), "--to", "csv", "--runner", "DirectRunner"]) == 0
    rows = [line.split(",")[1:5] for line in (captions / "captions.csv").read_text("utf-8-sig").splitlines()[1:]]
    assert rows == [
        ['"Sure."', '"model"', "-0.1", "0.95"],
        ['"Unsure."', '"model"', "-2.0", "0.4"],
        ['"Mine."', '"review"', "-9.0", '""'],
        ['"Right."', '"model"', "-9.0", '""'],
    ]
    write_trust(str(captions), replace(trust, model="n"))
    assert main([str(captions), "--to", "xmp", "--at_least", "90%"]) == 2
    assert "trust.json is for another model or other decoding options" in capsys.readouterr().err


def test_what_undo_cannot_read_is_named_and_counted_and_is_a_status(tmp_path, capsys, caplog):
    photos = [tmp_path / f"{name}.jpg" for name in "abcd"]
    sidecars = [Path(f"{photo}.xmp") for photo in photos]
    for sidecar in sidecars:
        sidecar.write_bytes(put(None, Description("Ours.", ""))[1])
    captions = tmp_path / "captions"
    for number, photo in enumerate(photos):
        run_of(captions, [str(photo)], f"run={number}")
    (captions / "run=1" / "captions-1.jsonl").write_text('{"uri": "/torn\n')
    (captions / "run=2" / "captions-1.jsonl").unlink()
    for name in ("run.json", "manifest.json"):
        (captions / "run=3" / name).write_text("{}")
    assert main([str(captions), "--to", "xmp", "--runner", "DirectRunner", "--undo"]) == 1
    assert last_counts(captions) == counts(written=1)
    assert [sidecar.exists() for sidecar in sidecars] == [False, True, True, True]
    said = capsys.readouterr().err
    assert "1 sidecar: 1 reverted, " in said
    assert "  Passed over: 3 lines and files of runs; see the warnings. Sidecars of their photos may not be " in said
    named = "\n".join(record.getMessage() for record in caplog.records)
    for place, problem in (
        ("run=1/captions-1.jsonl", "1 of 1 lines contain no record; line 1 is the first."),
        ("run=2/captions-1.jsonl", "it is gone."),
        ("run=3", "manifest.json does not belong to a run"),
    ):
        assert f"Passed over: '{captions}/{place}': {problem}" in named


def test_labels_become_keywords_where_nobody_wrote_any(tmp_path):
    labels = [{"label": "Egyptian cat", "probability": 0.5}, {"label": "tabby", "probability": 0.4}]
    records = [
        {"uri": str(tmp_path / name), "caption": "A cat.", **({} if found is None else {"labels": found})}
        for name, found in (("a.jpg", labels), ("b.jpg", labels), ("c.jpg", []), ("d.jpg", None))
    ]
    for record in records:
        Path(record["uri"]).touch()
    theirs = DARKTABLE.encode()  # with a keyword
    (tmp_path / "b.jpg.xmp").write_bytes(theirs)
    captions = run_of(tmp_path / "captions", records)
    writer = "beam-captioner, model m"
    assert export(captions, "--keywords", "labels") == counts(written=4)
    named = put(None, Description("A cat.", writer, ("Egyptian cat", "tabby")))[1]
    assert (tmp_path / "a.jpg.xmp").read_bytes() == named
    beside = (tmp_path / "b.jpg.xmp").read_bytes()
    assert b"holiday" in beside
    assert b"Egyptian" not in beside
    bare = put(None, Description("A cat.", writer))[1]
    assert (tmp_path / "c.jpg.xmp").read_bytes() == (tmp_path / "d.jpg.xmp").read_bytes() == bare
    assert export(captions, "--keywords", "labels") == counts(unchanged=4)
    assert export(captions) == counts(written=1, unchanged=3), "without the option they go again"
    assert (tmp_path / "a.jpg.xmp").read_bytes() == bare
    assert export(captions, "--undo") == counts(written=4)
    assert (tmp_path / "b.jpg.xmp").read_bytes() == theirs


def test_a_classifier_may_have_found_no_label_in_any_image(tmp_path):
    (tmp_path / "a.jpg").touch()
    captions = run_of(tmp_path / "captions", [{"uri": str(tmp_path / "a.jpg"), "caption": "Fog.", "labels": []}])
    assert export(captions, "--keywords", "labels") == counts(written=1)
    assert (tmp_path / "a.jpg.xmp").read_bytes() == put(None, Description("Fog.", "beam-captioner, model m"))[1]


def test_a_linked_sidecar_stays_a_link(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "there.xmp").write_text(DARKTABLE)
    (tmp_path / "a.jpg.xmp").symlink_to("there.xmp")
    captions = run_of(tmp_path / "captions", [str(tmp_path / "a.jpg")])
    export(captions)
    assert (tmp_path / "a.jpg.xmp").is_symlink()
    assert "A photo" in (tmp_path / "there.xmp").read_text()
    export(captions, "--undo")
    assert (tmp_path / "there.xmp").read_text() == DARKTABLE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--to", "xmp"], "there is no run here"),
        (["captions"], "the following arguments are required: --to"),
        (["captions", "--to", "png"], "invalid choice: 'png'"),
        (["captions", "--to", "xmp", "--output", "x"], "--output: sidecars are written next to the photos"),
        (["captions", "--to", "csv", "--undo"], "--undo is for --to xmp"),
        (["captions", "--to", "xmp", "--undo", "--min_score", "0"], "--min_score: --undo reverts everything"),
        (["captions", "--to", "xmp", "--at_least", "most"], "--at_least most: choose a share"),
        (["captions", "--to", "xmp", "--at_least", "90"], "--at_least 90: choose a share, such as 90% or 0.9"),
        (["captions", "--to", "xmp", "--min_score", "nan"], "--min_score nan: choose a score"),
        (["captions", "--to", "xmp", "--keywords", "tags"], "--keywords tags: no such field was carried"),
        (["captions", "--to", "xmp", "--keywords", "labels"], "model m has no image classifier; drop this option."),
        (["captions", "--to", "xmp", "--run", "1", "--model", "m"], "--run, --model: a run has one model"),
        (["captions", "--to", "csv", "--output", "captions"], "captions: this is not a file"),
        (["captions", "--to", "csv", "--output", "https://a/b.csv"], "https://a/b.csv: nothing can be written there"),
        (["captions", "--to", "csv", "--output", "no/a.csv"], "no/a.csv: there is no folder"),
        (["captions", "more", "--to", "xmp"], "more: there is no such option or argument"),
        (["captions", "--to", "xmp", "--run", "1"], "there is no run with the id '1' here"),
        (["captions", "--to", "xmp", "--model", "x\ny"], "there is no run of model 'x\\ny' here"),
        (["captions", "--to", "xmp", "--max_failures", "some"], "--max_failures some"),
        (["captions", "--to", "csv", "--runner", "DataflowRunner"], "Dataflow's workers cannot read local files"),
        (["captions", "--to", "xmp", "--recaptoin"], "--recaptoin: there is no such option"),
        (
            ["captions", "--to", "xmp", "--dry-run"],
            "--dry-run: there is no such option or argument. Did you mean --dry_run?",
        ),
    ],
)
def test_wrong_options_are_refused_before_any_work(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_of(tmp_path / "captions", ["a.jpg"])
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.match(r"beam_job\.export: .*\.$", err)
    assert said in err
    assert not (tmp_path / "captions" / "exports").exists()


def test_too_many_failures_are_a_status(tmp_path, capsys):
    captions = run_of(tmp_path / "captions", [str(tmp_path / "gone.jpg")])
    arguments = [str(captions), "--to", "xmp", "--runner", "DirectRunner"]
    assert main([*arguments, "--max_failures", "100%"]) == 0
    assert main([*arguments, "--max_failures", "0"]) == 3
    assert "1 of 1 failed, more than --max_failures 0 allows." in capsys.readouterr().err
