"""An archive that was moved: what was captioned under the old names counts under the new ones."""

import os

import pytest

from beam_job.command_line import parse
from beam_job.terminal.arguments import OptionError
from tests.photo_places import Disk, captioned, current, picture, run

pytestmark = pytest.mark.usefixtures("log")


def test_a_moved_archive_is_not_captioned_again(tmp_path, model, log):
    place = Disk(tmp_path)
    for name, colour in (("a.png", "red"), ("b.png", "blue"), ("c.png", "blue")):
        place.put(name, picture(colour))
    place.put("broken.png", b"no image")
    first = run(place, model)
    old = place.root
    place.root = f"{tmp_path}/moved"
    os.rename(old, place.root)
    place.put("b.png", picture("blue"))  # of another version
    place.put("c.png", picture("green"))
    place.put("new.png", picture("green"))
    renamed = ("--images", f"{place.root}/*.png", "--rename_from", f"{old}/", "--rename_to", f"{place.root}/")
    found = run(place, model, *renamed)
    assert (found["counts"]["captioned"], found["changed"], found["touched"]) == (2, 1, 2)
    assert (found["counts"]["failed"], found["known_failures"]) == (1, 1)
    colours = zip("abc", ("255-0-0", "0-0-255", "0-128-0"), strict=True)
    colours = {f"{place.root}/{name}.png": colour for name, colour in colours}
    assert current(place).items() >= colours.items()
    for argv in ((), renamed):
        again = run(place, model, *argv)
        assert (again["counts"]["captioned"], again["touched"], again["counts"]["skipped"]) == (0, 0, 4)
    # A list names no versions: what is captioned under the old names counts, nothing is fetched.
    (tmp_path / "list.txt").write_text("elsewhere://a.png\nelsewhere://b.png\n")
    argv = ("--uris", str(tmp_path / "list.txt"), "--rename_from", f"{place.root}/", "--rename_to", "elsewhere://")
    found = run(place, model, *argv)
    assert (found["counts"]["skipped"], found["touched"]) == (2, 2)
    assert first["counts"]["captioned"] == 3
    assert len(captioned(log)) == 5


def test_a_moved_archive_whose_list_names_no_versions_is_looked_at_with_recheck(tmp_path, model, log):
    place = Disk(tmp_path)
    place.put("a.png", picture("red"))
    place.put("b.png", picture("blue"))
    run(place, model)
    old = place.root
    place.root = f"{tmp_path}/moved"
    os.rename(old, place.root)
    place.put("b.png", picture("red"))
    (tmp_path / "list.txt").write_text(f"{place.root}/a.png\n{place.root}/b.png\n")
    argv = ("--uris", str(tmp_path / "list.txt"), "--rename_from", f"{old}/", "--rename_to", f"{place.root}/")
    found = run(place, model, *argv, "--recheck")
    assert (found["counts"]["captioned"], found["changed"], found["touched"]) == (1, 1, 1)
    assert current(place)[f"{place.root}/b.png"] == "255-0-0"
    assert run(place, model)["counts"]["skipped"] == 2


def test_local_prefixes_are_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    argv = ["--images", "x", "--output", "y", "--rename_from", "old/", "--rename_to"]
    assert parse([*argv, "gs://new/"]).to_renamed() == (f"{tmp_path}/old/", "gs://new/")
    assert parse([*argv, "../new"]).to_renamed() == (f"{tmp_path}/old/", f"{tmp_path.parent}/new")


@pytest.mark.parametrize(
    "argv",
    [
        ["--rename_from", "/a"],
        ["--rename_to", "/a"],
        ["--rename_from=/a", "--rename_to=/a"],
        ["--rename_from=/a/", "--rename_to=/b/../a/"],
    ],
)
def test_half_a_renaming_is_refused(argv):
    with pytest.raises(OptionError, match="give both"):
        parse([*argv, "--images", "x", "--output", "y"]).to_renamed()
