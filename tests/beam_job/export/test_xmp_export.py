"""Exports to sidecars: what readers see, what stays, a kill in the middle, and the way back."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from beam_job.export.command import main
from beam_job.export.xmp.sidecar import Description, put
from beam_job.runs.reviews import decoding_digest
from beam_job.trust.trust_file import Threshold, Trust, write_trust
from tests.beam_job.export.sidecars import DARKTABLE, HOSTILE, WITH_DESCRIPTION, WITHOUT_DESCRIPTION
from tests.earlier_runs import DECODING, earlier_run

needs_readers = pytest.mark.skipif(
    not shutil.which("exiftool") or not shutil.which("exiv2"), reason="needs ExifTool and exiv2"
)
OURS = ("XMP-dc:Description", "XMP-iptcCore:AltTextAccessibility", "XMP-photoshop:CaptionWriter")
KILLED = """
import os, signal, sys
from beam_job.export.command import main
from beam_job.export.xmp.places import Disk
write, written = Disk.write, []
def killed(self, *arguments):
    written.append(write(self, *arguments))
    if len(written) == 150:
        os.kill(os.getpid(), signal.SIGKILL)
Disk.write = killed
main(sys.argv[1:])
"""


def run_of(folder, captions, name="run=20260102T030405Z-a1b2c3", **about):
    """A finished run with these captions: dictionaries, or URIs of which each gets a caption of its own."""
    run = earlier_run(folder / name, captions=[], **about)
    records = [
        record if isinstance(record, dict) else {"uri": record, "caption": f"A photo, {record}."} for record in captions
    ]
    data = "".join(json.dumps({"score": -1.0, "model": "m", **record}) + "\n" for record in records)
    (run / "captions-1.jsonl").write_text(data)
    manifest = json.loads((run / "manifest.json").read_text())
    digest = hashlib.sha256(data.encode()).hexdigest()
    manifest["captions"] = [{"name": "captions-1.jsonl", "records": len(records), "sha256": digest}]
    (run / "manifest.json").write_text(json.dumps(manifest))
    return folder


def last_counts(folder):
    manifests = folder.glob("exports/*/manifest.json")
    return json.loads(max(manifests, key=lambda path: path.stat().st_mtime_ns).read_text())["counts"]


def export(folder, *options):
    """Exports to sidecars; returns the counts, which add up."""
    assert main([str(folder), "--to", "xmp", "--runner", "DirectRunner", *options]) == 0
    counts = last_counts(folder)
    assert counts["read"] == sum(counts.values()) - counts["read"]
    return counts


def counts(**found):
    return {"read": sum(found.values()), "written": 0, "unchanged": 0, "kept": 0, "left_out": 0, "failed": 0, **found}


def failures(folder):
    found = [json.loads(line) for path in folder.glob("exports/*/failures-*.jsonl") for line in path.open()]
    assert all(record["stage"] == "export" and record["message"] for record in found)
    return {record["uri"]: record["error"] for record in found}


def contents(folder):
    """Every file's bytes, permissions and time of change."""
    return {
        path: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def dump(folder):
    """What ExifTool reads of each sidecar."""
    command = ["exiftool", "-j", "-G1", "-a", "-s", "-struct", "-ext", "xmp", folder]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    is_theirs = re.compile("XMP-(?!captioner|was_)").match
    return {
        Path(tags["SourceFile"]).name: {name: value for name, value in tags.items() if is_theirs(name)}
        for tags in found
    }


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """500 photos; 200 have sidecars, of which 50 describe them; the captions of all."""
    folder = tmp_path_factory.mktemp("archive")
    photos = folder / "photos"
    photos.mkdir()
    Image.new("RGB", (8, 8)).save(photos / "000.jpg")
    for number in range(1, 500):
        os.link(photos / "000.jpg", photos / f"{number:03}.jpg") if number > 250 else shutil.copy(
            photos / "000.jpg", photos / f"{number:03}.jpg"
        )
    by_exiftool = [photos / f"{number:03}.jpg.xmp" for number in range(70)]
    tags = [
        "-XMP-xmp:Rating=3",
        "-XMP-dc:Subject=a",
        "-XMP-dc:Subject=b",
        "-XMP-dc:Title=Ü",
        "-XMP-photoshop:City=Ulm",
    ]
    subprocess.run(["exiftool", "-q", *tags, *by_exiftool], check=True)
    subprocess.run(["exiftool", "-q", "-overwrite_original", "-XMP-dc:Description=Oma", *by_exiftool[:25]], check=True)
    by_exiv2 = [photos / f"{number:03}.jpg" for number in range(70, 140)]
    subprocess.run(["exiv2", "-M", "set Xmp.xmp.Label blue", "-M", "set Xmp.dc.creator Jo", *by_exiv2], check=True)
    subprocess.run(["exiv2", "-eX", *by_exiv2], check=True)
    for path in by_exiv2:
        path.with_suffix(".xmp").rename(f"{path}.xmp")
    handmade = [*WITHOUT_DESCRIPTION.values(), DARKTABLE.encode()]
    for number in range(140, 175):
        (photos / f"{number:03}.jpg.xmp").write_bytes(handmade[number % len(handmade)])
    described = list(WITH_DESCRIPTION.values())
    for number in range(175, 200):
        (photos / f"{number:03}.jpg.xmp").write_bytes(described[number % len(described)])
    for number in range(0, 200, 7):
        (photos / f"{number:03}.jpg.xmp").chmod(0o600)
    return run_of(folder / "captions", [str(path) for path in sorted(photos.glob("*.jpg"))]), photos


@needs_readers
def test_500_photos_with_200_sidecars_there_and_back(archive, capsys):
    captions, photos = archive
    before, read_before = contents(photos), dump(photos)

    assert export(captions, "--dry_run") == counts(written=450, kept=50)
    shown, said = capsys.readouterr()
    assert len(shown.splitlines()) == 10
    assert shown.startswith(f"{photos}/025.jpg.xmp\tA photo, {photos}/025.jpg.\n")
    assert "Nothing was written" in said
    assert contents(photos) == before

    killed = [sys.executable, "-c", KILLED, str(captions), "--to", "xmp", "--runner", "DirectRunner"]
    assert subprocess.run(killed, check=False).returncode == -9
    halfway = contents(photos)
    done = sum(halfway[path][0] != before.get(path, (b"",))[0] for path in halfway if path.suffix == ".xmp")
    assert 150 <= done < 450
    assert not [path for path in halfway if path.suffix == ".tmp" and b"</x:xmpmeta>" not in halfway[path][0]]
    for path in photos.glob(".*.tmp"):
        path.unlink()

    assert export(captions) == counts(written=450 - done, unchanged=done, kept=50)
    after, read = contents(photos), dump(photos)
    assert len(read) == 500
    for name, tags in read.items():
        theirs = {tag: value for tag, value in tags.items() if tag not in OURS}
        uri = str(photos / name.removesuffix(".xmp"))
        if tags.get("XMP-dc:Description") == f"A photo, {uri}.":
            assert tags["XMP-iptcCore:AltTextAccessibility"] == f"A photo, {uri}."
            assert tags["XMP-photoshop:CaptionWriter"] == "beam-captioner, model m"
            assert theirs == {tag: value for tag, value in read_before.get(name, {}).items() if tag not in OURS}
        else:
            assert tags == read_before[name], "a person's description"
    assert {path: entry for path, entry in after.items() if path.suffix == ".jpg"} == {
        path: entry for path, entry in before.items() if path.suffix == ".jpg"
    }, "photos are not touched"
    assert all(after[path][1] == before[path][1] for path in before), "permissions stay"
    both_read = [path for path in sorted(photos.glob("*.xmp")) if not 140 <= int(path.name[:3]) < 200]
    by_exiv2 = subprocess.run(
        ["exiv2", "-K", "Xmp.dc.description", "-Pt", *both_read], capture_output=True, text=True, check=True
    )
    assert (by_exiv2.stdout.count("A photo, "), by_exiv2.stderr) == (415, "")

    capsys.readouterr()
    assert export(captions) == counts(unchanged=450, kept=50)
    assert "Nothing changed." in capsys.readouterr().err
    assert contents(photos) == after

    assert export(captions, "--undo", "--dry_run") == counts(written=450, unchanged=50)
    assert contents(photos) == after
    assert export(captions, "--undo") == counts(written=450, unchanged=50)
    assert {path: entry[:2] for path, entry in contents(photos).items()} == {
        path: entry[:2] for path, entry in before.items()
    }
    assert export(captions, "--undo") == counts(unchanged=200)


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
    assert export(captions, "--run", "20260102T030405Z-a1b2c3") == counts(written=1, unchanged=1, kept=1)
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
    captions = run_of(tmp_path / "captions", records)
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
    assert "--at_least: trust.json is not there; review some captions" in capsys.readouterr().err
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
    assert "trust.json is of another model or decoding" in capsys.readouterr().err


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
        (["captions", "--to", "xmp", "--output", "x"], "--output: sidecars are written beside their photos"),
        (["captions", "--to", "csv", "--undo"], "--undo is for --to xmp"),
        (["captions", "--to", "xmp", "--undo", "--min_score", "0"], "--min_score: --undo takes back all"),
        (["captions", "--to", "xmp", "--at_least", "most"], "--at_least most: choose a share"),
        (["captions", "--to", "xmp", "--run", "1"], "there is no run with the id '1' here"),
        (["captions", "--to", "xmp", "--model", "x\ny"], "there is no run of model 'x\\ny' here"),
        (["captions", "--to", "xmp", "--max_failures", "some"], "--max_failures some"),
        (["captions", "--to", "csv", "--runner", "DataflowRunner"], "Dataflow's workers see no local files"),
        (["captions", "--to", "xmp", "--recaptoin"], "--recaptoin: there is no such option"),
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
