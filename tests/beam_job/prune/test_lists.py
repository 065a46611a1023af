"""The lists that --uris of a prune names are those of the job: tables, JSON lines and pipes."""

import json
import re

import pytest

from beam_job.prune.command import main
from tests.archives import KILLED, archive, named, traces
from tests.pipes import pipe


@pytest.mark.parametrize("delete", [[], ["--delete"]])
def test_a_column_or_field_of_another_name(tmp_path, photos, output, capsys, delete):
    table, rows = tmp_path / "table.csv", tmp_path / "rows.jsonl"
    table.write_text(f"id,path\n1,{photos[0]}\n2,/none.jpg\n")
    rows.write_text(json.dumps({"uri": str(photos[1]), "path": str(photos[2])}))
    arguments = [str(output), "--uris", str(table), str(rows), "--killed", KILLED, *delete]
    assert main(arguments) == 2
    assert "See --uri_field" in capsys.readouterr().err
    assert main([*arguments, "--uri_field", "path"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("3 photos in the lists.\n")
    assert said.err == ("beam_job.prune: /none.jpg has no record here.\n")
    gone = [bool(traces(output, [str(photo)])) for photo in photos[:3]]
    assert gone == ([False, True, False] if delete else [True] * 3)


def test_ten_of_many_photos_are_shown(tmp_path, capsys):
    photos = [f"/photos/{number}.jpg" for number in range(30)]
    output = archive(tmp_path / "many", photos)
    for some, more in ((10, ""), (11, "... and 1 more.\n"), (23, "... and 13 more.\n")):
        assert main([str(output), "--uris", str(named(tmp_path, photos[:some])), "--killed", KILLED]) == 0
        said = capsys.readouterr().out
        assert said.count("\tA ") == 10
        assert re.findall(r"\.\.\. and .*\n", said) == ([more] if more else [])


@pytest.mark.parametrize("lists", [[], ["--uris", "list.txt"], ["--uris", "list.txt", "list.csv"]])
def test_a_field_that_no_list_has_is_refused(tmp_path, photos, output, capsys, monkeypatch, lists):
    monkeypatch.chdir(tmp_path)
    named(tmp_path, photos[:1])
    (tmp_path / "list.csv").write_text(f"path\n{photos[1]}\n")
    assert main([str(output), *lists, "--uri_field", "path", "--killed", KILLED, "--delete"]) == 2
    assert re.search("--uri_field(: this is about| path needs)", capsys.readouterr().err)
    assert traces(output, [str(photos[0])])


def test_pipes_are_read_whole(tmp_path, photos, output, capsys):
    many = "".join(f"/none/{number}.jpg\n" for number in range(20_000))
    with pipe(f"{many}{photos[0]}\n".encode()) as first, pipe(f"{photos[1]}\n".encode()) as second:
        lists = [first, str(named(tmp_path, [photos[2]])), second]
        assert main([str(output), "--uris", *lists, "--killed", KILLED, "--delete"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("20,003 photos in the lists.\n")
    assert "beam_job.prune: nor have 19,990 more.\n" in said.err
    assert not traces(output, [str(photo) for photo in photos[:3]])
    assert traces(output, [str(photos[3])])
