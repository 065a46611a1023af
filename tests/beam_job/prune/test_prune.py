"""A prune of a folder: what goes, what stays, what is said, and when it is refused."""

import json
import os
import time
from datetime import UTC, datetime

import pytest

from beam_job.files import switch
from beam_job.prune import prune
from beam_job.prune.books import open_books
from beam_job.prune.command import main
from beam_job.prune.leftovers import leftovers
from beam_job.runs.manifest import UnbalancedError
from beam_job.runs.run import Run
from beam_job.runs.shards import Shard
from tests.archives import FIRST, KILLED, caption, check_books, content, lines, named, traces, view, without
from tests.closed_folders import closed


def documents(output):
    return [json.loads(path.read_text()) for path in sorted(output.glob("run=*/manifest.json"))]


def test_named_photos_leave_no_trace_in_the_folder_and_the_books_balance(tmp_path, photos, output, capsys):
    before, files = view(output), content(output)
    check_books(output)
    gone = [str(photos[0]), str(photos[3]), str(photos[5])]
    arguments = [str(output), "--uris", str(named(tmp_path, gone)), "--killed", KILLED]
    assert main(arguments) == 0
    assert content(output) == files  # a dry run
    said = capsys.readouterr().out
    assert f"{photos[0]}\tA cat." in said
    assert "To remove: 6 captions, 2 failures and 3 reviews of 3 photos." in said
    assert f"{output}/report.html shows these photos in 3 of its entries." in said
    assert "this is a dry run. To remove all this, add --delete. Photos are never deleted." in said
    assert main([*arguments, "--delete"]) == 0
    said = capsys.readouterr().out
    assert "All this was removed.\n" in said
    assert "Photos are not deleted: if the job still finds these, its next run captions them again.\n" in said
    assert view(output) == without(before, gone)
    check_books(output)
    assert not traces(output, gone)
    first, second = documents(output)
    assert first["counts"]["input"] == 8
    assert first["counts"]["pruned"] == 3
    assert [(note["why"], note["captions"], note["failures"]) for note in first["pruned"]] == [("named", 2, 1)]
    assert second["pruned"][0]["id"] == first["pruned"][0]["id"]
    assert second["pruned"][0]["time"].startswith("20")


def test_what_could_not_be_looked_at_is_not_called_removed(tmp_path, photos, output, capsys):
    other = output / "run=20200101T000000Z-aaaaaa"
    other.mkdir()
    arguments = [str(output), "--uris", str(named(tmp_path, [str(photos[0])])), "--killed", KILLED, "--delete"]
    with closed(other):
        assert main(arguments) == 1
    said = capsys.readouterr()
    assert "This was removed; what was not looked at may hold more.\n" in said.out
    assert f"{other} cannot be read: this account lacks permission. Its files were not looked at." in said.err
    assert "began meanwhile" not in said.err
    assert not traces(output, [str(photos[0])])


def test_folders_that_are_not_read_are_named_once(tmp_path, photos, output, capsys, caplog):
    exports, run, reviews, other = folders = [
        output / name for name in ("exports", "run=20200101T000000Z-aaaaaa", "reviews", "run=2")
    ]
    run.mkdir()
    reviews.rename(tmp_path / "elsewhere")
    for link in (reviews, other):
        link.symlink_to(tmp_path / "elsewhere")
    arguments = [str(output), "--uris", str(named(tmp_path, [str(photos[0])])), "--killed", KILLED, "--delete"]
    with closed(run, exports):
        assert main(arguments) == 1
    said = capsys.readouterr().err
    assert [said.count(f"{folder} ") for folder in folders] == [1, 1, 1, 1]
    assert not caplog.records
    assert not [path for path in traces(output, [str(photos[0])]) if exports not in path.parents]


def test_the_tables_of_linked_exports_are_not_looked_for(tmp_path, photos, output, capsys):
    exports, table = output / "exports", tmp_path / "captions.csv"
    table.write_text("uri,caption\n")
    export = next(exports.iterdir())
    (export / "table.json").write_text(json.dumps({"path": str(table), "sha256": ""}))
    exports.rename(tmp_path / "elsewhere")
    exports.symlink_to(tmp_path / "elsewhere")
    assert main([str(output), "--uris", str(named(tmp_path, [str(photos[0])]))]) == 0
    said = capsys.readouterr()
    assert f"{exports} is a symbolic link, which is not followed." in said.err
    assert "was exported before" not in said.out


def test_what_is_not_concerned_is_not_touched(tmp_path, photos, output):
    (output / "mine.html").write_text(f"<p>{photos[0]}</p>")
    (output / f"run={FIRST}" / "captions-de.jsonl").write_text("somebody's own file")
    before = content(output)
    assert main([str(output), "--uris", str(named(tmp_path, [photos[7]])), "--killed", KILLED, "--delete"]) == 0
    after = content(output)
    same = {path for path, data in before.items() if after.get(path) == data}
    assert output / "mine.html" in same
    assert output / f"run={FIRST}" / "captions-de.jsonl" in same
    assert output / f"run={FIRST}" / "captions-1.jsonl" in same  # this photo failed in the run
    assert output / f"run={FIRST}" / "manifest.json" not in same
    assert output / "reviews" / "reviews-1.jsonl" in same


def test_gone_photos_are_pruned_and_those_that_are_there_stay(photos, output, capsys):
    before = view(output)
    photos[2].unlink()
    assert main([str(output), "--delete", "--killed", KILLED]) == 0
    said = capsys.readouterr()
    assert "7 photos there, 1 gone." in said.out
    assert "2 captions" in said.out
    assert view(output) == without(before, [str(photos[2])])
    assert documents(output)[0]["pruned"][0]["why"] == "gone"
    files = content(output)
    assert main([str(output), "--delete", "--killed", KILLED]) == 0
    assert content(output) == files
    said = capsys.readouterr().out
    assert said == "7 photos there, 0 gone.\nThere are no records to remove.\n"

    left = output / "trust.json.0123456789abcdef0123456789abcdef.tmp"
    left.touch()
    os.utime(left, (0, 0))
    assert main([str(output), "--delete", "--killed", KILLED]) == 0
    assert content(output).keys() == files.keys()
    assert capsys.readouterr().out.endswith("1 file of interrupted prunes, exports and runs deleted.\n")


def test_the_folder_may_be_named_from_the_folder_at_hand(tmp_path, photos, output, monkeypatch):
    before = view(output)
    monkeypatch.chdir(tmp_path)
    named(tmp_path, [photos[4]])
    assert main(["./captions/", "--uris", "list.txt", "--killed", f"run={KILLED}", "--delete"]) == 0
    assert view("captions") == without(before, [str(photos[4])])
    assert not traces(output, [str(photos[4])])
    monkeypatch.chdir(output)
    named(tmp_path, [photos[5]])
    assert main([".", "--uris", "../list.txt", "--killed", KILLED, "--delete"]) == 0
    assert not traces(output, [str(photos[5])])
    check_books(output)


def test_a_switch_that_nobody_can_read_is_said(output, capsys):
    before = view(output)
    (output / "prune.json").write_text('{"id": "1-2", "state": "switched", "replaced": ["../a"], "deleted": []}')
    assert main([str(output), "--delete"]) == 2
    assert f"{output}/prune.json is not as a prune writes it" in capsys.readouterr().err
    assert view(output) == before


def test_a_page_keeps_what_it_shows_of_other_photos(tmp_path, photos, output):
    assert main([str(output), "--uris", str(named(tmp_path, [photos[1]])), "--killed", KILLED, "--delete"]) == 0
    html = (output / "report.html").read_text()
    data = json.loads(html.split('id="data">')[1].split("</script>")[0])
    assert {item["uri"] for item in data["items"]} == {str(photo) for photo in photos} - {str(photos[1])}


def test_a_moved_archive_is_meant_under_either_name(tmp_path, photos, output):
    renamed = ["--rename_from", f"{tmp_path}/photos/", "--rename_to", "gs://archive/"]
    arguments = [str(output), "--uris", str(named(tmp_path, ["gs://archive/photo3.jpg"])), *renamed]
    assert main([*arguments, "--killed", KILLED, "--delete"]) == 0
    assert not traces(output, [str(photos[3])])


def test_prefixes_and_places_may_be_named_from_the_folder_at_hand(tmp_path, photos, output, monkeypatch):
    before = view(output)
    monkeypatch.chdir(tmp_path)
    renamed = ["--rename_from", "photos/", "--rename_to", "gs://archive/"]
    arguments = ["captions", "--uris", str(named(tmp_path, ["gs://archive/photo3.jpg"])), *renamed]
    assert main([*arguments, "--killed", KILLED, "--delete"]) == 0
    assert not traces(output, [str(photos[3])])
    for photo in photos[1:]:
        photo.unlink()
    assert main(["captions", "--killed", KILLED, "--delete"]) == 2
    assert main(["captions", "--missing", "photos", "--killed", KILLED, "--delete"]) == 0
    assert view(output) == without(before, list(map(str, photos[1:])))


def test_a_list_that_names_unknown_photos_says_so(tmp_path, photos, output, capsys):
    uris = [f"file://{photos[0]}", "/photos/none.jpg"]
    assert main([str(output), "--uris", str(named(tmp_path, uris)), "--killed", KILLED, "--delete"]) == 0
    said = capsys.readouterr()
    assert "/photos/none.jpg has no record here." in said.err
    assert "photo0" not in said.err
    assert not traces(output, [str(photos[0])])


def test_a_run_that_may_be_going_on_is_not_pruned(tmp_path, photos, output, capsys):
    files = content(output)
    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]]))]
    assert main([*arguments, "--delete"]) == 2
    assert f"run={KILLED} has no manifest" in capsys.readouterr().err
    assert content(output) == files
    assert main(arguments) == 0
    assert "it may be going on" in capsys.readouterr().err
    for path in (output / f"run={KILLED}").iterdir():
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    assert main([*arguments, "--delete"]) == 0
    named(tmp_path, [photos[1]])
    assert main([*arguments, "--delete"]) == 0  # the first prune wrote into the run


def test_a_run_that_was_pruned_while_it_went_on_ends_without_a_manifest(tmp_path, photos):
    run = Run(str(tmp_path / "captions"), "m", {"decoding": {}})
    run.start()
    name = f"captions-{'a' * 32}.jsonl"
    (tmp_path / "captions" / f"run={run.id}" / name).write_text(lines(caption(str(photo)) for photo in photos))
    arguments = [str(tmp_path / "captions"), "--uris", str(named(tmp_path, [photos[0]])), "--killed", run.id]
    assert main([*arguments, "--delete"]) == 0
    with pytest.raises(UnbalancedError, match="was pruned while it went on"):
        run.finish([8], [(0, 0, 0)], [Shard(name, 8, "")], [])
    assert view(tmp_path / "captions")[0] == sorted(map(str, photos[1:]))


def test_files_that_cannot_be_deleted_are_named_and_go_with_the_next_prune(
    tmp_path, photos, output, monkeypatch, capsys
):
    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]])), "--killed", KILLED, "--delete"]
    before, remove = view(output), os.remove
    kept = output / f"run={FIRST}" / f"captions-{'a' * 32}.jsonl"

    def refused(path):
        if str(path) == str(kept):
            raise PermissionError(1, "Operation not permitted")
        remove(path)

    with monkeypatch.context() as patches:
        patches.setattr(os, "remove", refused)
        assert main(arguments) == 1
    said = capsys.readouterr()
    assert "No command reads these records any more, but files hold some.\n" in said.out
    assert f"{kept} cannot be deleted" in said.err
    assert view(output) == without(before, [str(photos[0])])
    assert traces(output, [str(photos[0])]) == [kept]
    assert main(arguments) == 0
    assert not traces(output, [str(photos[0])])


class Killed(BaseException):
    pass


def test_what_a_prune_began_that_was_killed_after_its_switch_is_ended(tmp_path, photos, output, monkeypatch, capsys):
    def killed(*_):
        raise Killed

    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]])), "--killed", KILLED]
    with monkeypatch.context() as patches:
        patches.setattr(prune, "complete", killed)
        with pytest.raises(Killed):
            main([*arguments, "--delete"])
    capsys.readouterr()
    assert main(arguments) == 0
    assert "An earlier prune was interrupted; --delete finishes it.\n" in capsys.readouterr().out
    assert traces(output, [str(photos[0])])
    assert switch.finish_earlier(str(output)) == {}
    assert not traces(output, [str(photos[0])])
    assert switch.finish_earlier(str(output)) is None
    with monkeypatch.context() as patches:
        patches.setattr(prune, "complete", killed)
        with pytest.raises(Killed):
            main([*arguments[:2], str(named(tmp_path, [photos[3]])), *arguments[3:], "--delete"])
    assert main([*arguments, "--delete"]) == 0
    assert "An earlier prune was interrupted. It was finished.\n" in capsys.readouterr().out
    assert not traces(output, [str(photos[3])])


def test_files_that_a_run_without_a_manifest_writes_late_are_no_leftovers(output):
    books, _ = open_books(str(output))
    late = output / f"run={KILLED}" / f"captions-{'d' * 32}.jsonl"
    late.write_text("")
    old, _ = leftovers(str(output), books, datetime.now(UTC))
    assert old == [str(output / f"run={FIRST}" / f"captions-{'a' * 32}.jsonl")]


def test_files_that_cannot_be_read_are_named(tmp_path, photos, output, capsys):
    run = output / f"run={FIRST}"
    (run / "manifest.json").write_text("torn")
    (run / "run.json").write_text("torn")
    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]])), "--killed", KILLED]
    links = [output / "latest.html", output / "old.html"]
    for link, target in zip(links, ("report.html", "nowhere.html"), strict=True):
        link.symlink_to(target)
    assert main([*arguments, "--delete"]) == 1
    said = capsys.readouterr().err
    assert f"{run}: manifest.json is not valid JSON." in said
    assert all(f"{link} is not a regular file; it was not looked at." in said for link in links)
    assert {path.parent for path in traces(output, [str(photos[0])])} == {run}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "there is no run here"),
        (["hdfs://host/captions"], "only folders on disks and on gs://"),
        (["file://host/captions"], "without a host"),
        (["captions", "--rename_from", "/a"], "give both"),
        (["captions", "--rename_from", "/a", "--rename_to", "/a"], "give both"),
        (["captions", "--missing", "file://host/photos"], "without a host"),
        (["captions", "--uris", "list.txt", "--missing", "/a"], "drop one of the two"),
        (["captions", "--uris", "none.txt"], "there is no such file"),
    ],
)
def test_wrong_options_are_refused(tmp_path, output, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("a.jpg\n")
    assert main(options) == 2
    assert message in capsys.readouterr().err
