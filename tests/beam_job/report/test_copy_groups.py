"""Copies and near-copies: every group is found, and each holds what it should."""

import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_job.images.pixels.dhash import difference_hash
from beam_job.records import Content
from beam_job.report import write
from beam_job.report.command import main as report_main
from beam_job.report.copy_groups import COPIES, NEAR_COPIES, CopyGroups
from tests.earlier_runs import earlier_run
from tests.page_data import data_of
from tests.photos import photos
from tests.written_run import caption_record, write_run


def record(file, dhash):
    return {"sha256": f"{file:064x}"[::-1], "dhash": f"{dhash:016x}"}


def groups(records):
    found = CopyGroups()
    for fields in records:
        found.add(fields)
    return {kind: {tuple(sorted(g.places)) for g in found.find() if g.kind == kind} for kind in (COPIES, NEAR_COPIES)}


def connected(hashes):
    """Groups of places that chains of near hashes connect, by comparing each with each."""
    left, found = set(range(len(hashes))), []
    while left:
        group, border = set(), {left.pop()}
        while border:
            group |= border
            near = {b for a in border for b in left if (hashes[a] ^ hashes[b]).bit_count() <= 3}
            left -= near
            border = near
        found.append(tuple(sorted(group)))
    return found


FLIPS = st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 63), max_size=6)), max_size=30)


@given(seed=st.integers(0, 2**32), flips=FLIPS, files=st.lists(st.integers(0, 12), min_size=30, max_size=30))
def test_near_copies_are_those_that_chains_of_few_bits_connect(seed, flips, files):
    dice = random.Random(seed)
    bases = [dice.getrandbits(64) for _ in range(6)]
    hashes = [bases[base] ^ sum(1 << bit for bit in bits) for base, bits in flips]
    if any(min(h.bit_count(), 64 - h.bit_count()) < 4 for h in hashes):
        return
    found = groups(record(file, dhash) for file, dhash in zip(files, hashes, strict=False))
    same = {}
    for place, file in enumerate(files[: len(hashes)]):
        same.setdefault(file, []).append(place)
    assert found[COPIES] == {tuple(places) for places in same.values() if len(places) > 1}
    near = {group for group in connected(hashes) if len({files[place] for place in group}) > 1}
    assert found[NEAR_COPIES] == near


def test_plain_pictures_and_records_without_hashes_are_no_near_copies():
    plain = difference_hash(np.zeros([16, 16, 3], np.uint8))
    records = [record(1, int(plain, 16)), {"uri": "old"}, record(2, int(plain, 16)), record(2, 5), {"sha256": 5}]
    assert groups(records) == {COPIES: {(2, 3)}, NEAR_COPIES: set()}


def test_the_report_shows_the_largest_groups_and_a_file_has_them_all(tmp_path, capsys):
    made = photos(tmp_path / "photos", 3)
    uris = [str(path) for path in made]
    for number in range(3):
        uris.append(str(tmp_path / "photos" / f"copy-{number}.jpg"))
        shutil.copy(made[0], uris[-1])
    look = 0x0F0F0F0F0F0F0F0F
    contents = [("a", look), ("b", look >> 2), ("c", look ^ 3), *[("a", look)] * 3]
    records = [
        replace(caption_record(uri), content=Content(1, file * 64, f"{dhash:016x}"))
        for uri, (file, dhash) in zip(uris, contents, strict=True)
    ]
    run = write_run(tmp_path / "out", records)
    assert report_main([str(run), "--groups", str(tmp_path / "groups.jsonl")]) == 0
    found = data_of(capsys.readouterr().out.strip())["copies"]
    four = [uris[0], *uris[3:]]
    assert found["copies"] == {"groups": 1, "images": 4}
    assert found["near_copies"] == {"groups": 1, "images": 5}
    assert [(group["kind"], group["count"]) for group in found["largest"]] == [("near_copies", 5), ("copies", 4)]
    assert {image["uri"] for image in found["largest"][1]["images"]} == set(four)
    assert all(image["image"].startswith("data:image/webp") for image in found["largest"][1]["images"])
    lines = [json.loads(line) for line in (tmp_path / "groups.jsonl").read_text().splitlines()]
    assert lines == [
        {"kind": "near_copies", "uris": sorted([*four, uris[2]])},
        {"kind": "copies", "uris": sorted(four)},
    ]
    assert report_main([str(run), "--compare", str(run), "--groups", str(tmp_path / "x")]) == 2


@pytest.mark.parametrize("change", ["a file more", "a file less", "another file"])
def test_while_a_run_goes_on_no_photo_is_called_a_copy_that_is_none(change, tmp_path, monkeypatch, capsys):
    def records(*uris, file):
        content = Content(1, file * 64, f"{0x0F0F0F0F0F0F0F0F:016x}")
        return "".join(f"{replace(caption_record(uri), content=content).to_json()}\n" for uri in uris)

    run = earlier_run(tmp_path / "out" / "run=1", finished=False)
    (run / "captions-1.jsonl").write_text(records("/1.jpg", file="a"))
    (run / "captions-2.jsonl").write_text(records("/2.jpg", "/3.jpg", file="b"))
    fetched = write.thumbnails

    def meanwhile(images, *arguments):
        if change == "a file more":
            (run / "captions-0.jsonl").write_text(records("/new.jpg", file="c"))
        elif change == "a file less":
            (run / "captions-1.jsonl").unlink(missing_ok=True)
        else:
            (run / "captions-1.jsonl").write_text(records("/1.jpg", "/new.jpg", file="a"))
        return fetched(images, *arguments)

    monkeypatch.setattr(write, "thumbnails", meanwhile)
    status = report_main([str(run), "--groups", str(tmp_path / "groups.jsonl")])
    if change == "a file more":
        assert status == 0
        lines = [json.loads(line) for line in (tmp_path / "groups.jsonl").read_text().splitlines()]
        assert {"kind": "copies", "uris": ["/2.jpg", "/3.jpg"]} in lines
        copies = data_of(run / "report.html")["copies"]["largest"]
        assert not [image for group in copies for image in group["images"] if image["uri"] == "/new.jpg"]
    else:
        assert status == 2
        assert "Captions were added or removed while they were read; start again." in capsys.readouterr().err
        assert not (tmp_path / "groups.jsonl").exists()
