"""Photos with captions to export: a run, photos with sidecars of other programs, and what is there afterwards."""

import hashlib
import json
import shutil
import stat
import subprocess
from itertools import cycle

import pytest
from PIL import Image

from beam_job.export.command import main
from tests.beam_job.export.sidecars import WITH_DESCRIPTION, WITHOUT_DESCRIPTION
from tests.earlier_runs import earlier_run

needs_readers = pytest.mark.skipif(
    not shutil.which("exiftool") or not shutil.which("exiv2"), reason="needs ExifTool and exiv2"
)


def run_of(folder, captions, name="run=20260102T030405Z-a1b2c3", *, carry="", **about):
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
    for name, about in (("manifest.json", manifest), ("run.json", json.loads((run / "run.json").read_text()))):
        about["options"]["carry"] = carry
        (run / name).write_text(json.dumps(about))
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


def make_photos(folder, number):
    """Photos, a multiple of 50: 20 in 50 have sidecars, by ExifTool, exiv2 and by hand; 4 of these describe them."""
    folder.mkdir()
    photos = [folder / f"{index:03}.jpg" for index in range(number)]
    Image.new("RGB", (8, 8)).save(photos[0])
    for photo in photos[1:]:
        shutil.copy(photos[0], photo)
    sidecars = iter([photo.with_suffix(".jpg.xmp") for photo in photos])

    def some(of_fifty):
        return [next(sidecars) for _ in range(of_fifty * number // 50)]

    described, plain = some(2), some(5)
    tags = ["xmp:Rating=3", "dc:Subject=a", "dc:Subject=b", "dc:Title=Ü", "photoshop:City=Ulm"]
    subprocess.run(["exiftool", "-q", *(f"-XMP-{tag}" for tag in tags), *described, *plain], check=True)
    subprocess.run(["exiftool", "-q", "-overwrite_original", "-XMP-dc:Description=Oma", *described], check=True)
    by_exiv2 = [sidecar.with_suffix("") for sidecar in some(7)]
    subprocess.run(["exiv2", "-M", "set Xmp.xmp.Label blue", "-M", "set Xmp.dc.creator Jo", *by_exiv2], check=True)
    subprocess.run(["exiv2", "-eX", *by_exiv2], check=True)
    for photo in by_exiv2:
        photo.with_suffix(".xmp").rename(f"{photo}.xmp")
    for kinds, sidecars_of_them in ((WITHOUT_DESCRIPTION, some(4)), (WITH_DESCRIPTION, some(2))):
        for sidecar, data in zip(sidecars_of_them, cycle(kinds.values()), strict=False):
            sidecar.write_bytes(data)
    return photos
