"""Which photos count as changed: by the versions that listings name, and by those that storage is asked for."""

import json
from collections import Counter

import pytest

from tests.photo_places import Bucket, Disk, picture, records, run
from tests.storage import Storage

pytestmark = pytest.mark.usefixtures("log")


def test_what_a_touched_photo_costs(tmp_path, model, capsys):
    place = Disk(tmp_path)
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        place.put(name, picture(colour))
    first = run(place, model)
    (record, _) = sorted(
        (
            record
            for shard in first["captions"]
            for record in records(f"{place.output}/run={first['id']}/{shard['name']}")
        ),
        key=lambda record: record["uri"],
    )
    assert record["version"] == f"{len(picture('red'))}-{1_700_000_001 * 10**9}"
    assert (record["bytes"], record["run"]) == (len(picture("red")), first["id"])
    place.put("a.png", picture("red"))
    place.put("b.png", picture("green"))
    capsys.readouterr()
    second = run(place, model)
    assert "1 captioned (1 changed), 0 failed, 1 skipped (1 touched)" in capsys.readouterr().err
    assert (second["changed"], second["touched"]) == (1, 1)
    assert second["devices"] in (["CPU"], ["CPU, bfloat16"])
    again = {
        found["uri"]: found
        for shard in second["captions"]
        for found in records(f"{place.output}/run={second['id']}/{shard['name']}")
    }[record["uri"]]
    version = f"{len(picture('red'))}-{1_700_000_003 * 10**9}"
    assert again == record | {"version": version, "run": second["id"]}
    third = run(place, model)
    assert (third["counts"]["skipped"], third["touched"], third["captions"]) == (2, 0, [])


def test_lists_with_versions(tmp_path, model):
    place = Disk(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        place.put(name, picture("red"))
    listed = tmp_path / "list.jsonl"
    argv = ("--uris", str(listed), "--version_field", "v")

    def write(**versions):
        rows = ({"uri": f"{place.root}/{name}.png", "v": version} for name, version in versions.items())
        listed.write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(a=1, b="x", c=None)
    assert run(place, model, *argv)["counts"]["captioned"] == 3
    place.put("a.png", picture("blue"))
    place.put("c.png", picture("blue"))
    write(a=2, b="y", c=None)
    found = run(place, model, *argv)
    assert (found["changed"], found["touched"], found["counts"]["skipped"]) == (1, 1, 2)
    write(a=2, b=["y"], c=True)
    found = run(place, model, *argv)
    assert found["failures_by_code"] == {"list/bad_row": 2}
    assert found["counts"]["skipped"] == 1


def test_recheck_asks_once_for_each_known_image(tmp_path, model):
    with Storage() as storage:
        storage.bucket("photos")
        place = Bucket(storage)
        for name in "abcd":
            place.put(f"{name}.png", picture("red"))
        (tmp_path / "list.txt").write_text("".join(f"{place.root}/{name}.png\n" for name in "abcd"))
        argv = ("--uris", str(tmp_path / "list.txt"))
        assert run(place, model, *argv)["counts"]["captioned"] == 4
        place.put("a.png", picture("blue"))
        place.put("b.png", picture("red"))
        place.delete("c.png")
        assert run(place, model, *argv)["counts"]["skipped"] == 4
        asked = Counter(storage.requests)
        looked = Counter(storage.looked_at)
        found = run(place, model, *argv, "--recheck")
        assert (found["changed"], found["touched"], found["counts"]["skipped"]) == (1, 1, 2)
        assert found["failures_by_code"] == {"fetch/not_found": 1}
        images = {f"archive/photos/{name}.png" for name in "abcd"}
        assert {name: n for name, n in (storage.looked_at - looked).items() if name in images} == dict.fromkeys(
            images, 1
        )
        fetched = {name for name in storage.requests - asked if name in images}
        assert fetched == {f"archive/photos/{name}.png" for name in "abc"}
        found = run(place, model, *argv, "--recheck")
        assert (found["counts"]["captioned"], found["counts"]["skipped"], found["known_failures"]) == (0, 3, 1)


def test_runs_that_are_older_than_versions_count_as_before_and_are_named(tmp_path, model, capsys):
    place = Disk(tmp_path)
    place.put("a.png", picture("red"))
    first = run(place, model)
    (shard,) = first["captions"]
    path = tmp_path / "out" / f"run={first['id']}" / shard["name"]
    (record,) = records(str(path))
    for name in ("version", "sha256", "bytes", "dhash", "run"):
        del record[name]
    path.write_text(json.dumps(record) + "\n")
    place.put("a.png", picture("blue"))
    for argv in ((), ("--images", f"{place.root}/*.png", "--recheck")):
        found = run(place, model, *argv)
        assert (found["counts"]["captioned"], found["counts"]["skipped"], found["unversioned"]) == (0, 1, 1)
        assert "Not compared: 1 of the skipped, whose earlier records name no version" in capsys.readouterr().err
    (tmp_path / "list.txt").write_text(f"{place.root}/a.png\n")
    found = run(place, model, "--uris", str(tmp_path / "list.txt"))  # nobody asks for versions
    assert (found["counts"]["skipped"], found["unversioned"]) == (1, 0)
    assert run(place, model, "--images", f"{place.root}/*.png", "--recaption")["counts"]["captioned"] == 1
    place.put("a.png", picture("green"))
    found = run(place, model)
    assert (found["changed"], found["unversioned"]) == (1, 0)
