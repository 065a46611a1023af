"""Which images globs name on disks, against Python's own globs."""

import glob as python_glob
import os
import pickle
import re
import tempfile
import unicodedata
from contextlib import contextmanager
from functools import reduce
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.listing.check_globs import check_images
from beam_job.listing.globs import matches
from beam_job.listing.left_out import LeaveOut
from beam_job.listing.patterns import Patterns, parse_object
from tests.matched import found


def test_folders_and_none(tree):
    tree("photos/a.jpg", "photos/2019/b.jpg", "photos/2019/may/c.JPG", "photos/d.png", "e.jpg")
    assert found("photos/*.jpg") == ["photos/a.jpg"]
    assert found("photos/**/*.jpg") == found("photos/**.jpg") == ["photos/2019/b.jpg", "photos/a.jpg"]
    assert found("**/*.{jpg,JPG}") == ["e.jpg", "photos/2019/b.jpg", "photos/2019/may/c.JPG", "photos/a.jpg"]
    assert found("photos/**") == ["photos/2019/b.jpg", "photos/2019/may/c.JPG", "photos/a.jpg", "photos/d.png"]
    assert found("./photos//2019/./*.jpg") == found("photos/../photos/2019/b.jpg") == ["photos/2019/b.jpg"]
    assert found("{photos,.,none}/*.jpg") == ["e.jpg", "photos/a.jpg"]
    assert found("photos/*/") == found("photos") == found("none/*.jpg") == found(f"{'n' * 300}.jpg") == []


def test_paths_are_absolute_wherever_the_glob_starts(tree, monkeypatch):
    folder = tree("home/pictures/a.jpg")
    monkeypatch.setenv("HOME", f"{folder}/home")
    for glob in (
        "home/pictures/*.jpg",
        "~/pictures/*.jpg",
        "{~,/none}/pictures/*.jpg",
        f"{{/none,{folder}/home}}/**.jpg",
    ):
        assert list(matches(glob)) == [f"{folder}/home/pictures/a.jpg"]
    tree("~/pictures/b.jpg")  # a folder of that name is meant, as everywhere
    assert list(matches("~/pictures/*.jpg")) == [f"{folder}/~/pictures/b.jpg"]


def test_characters_of_globs_in_names_that_exist(tree):
    tree(
        "Album [2019]/a[1].jpg",
        "Album [2019]/a1.jpg",
        "Album 2/b.jpg",
        "{x,y}/c.jpg",
        "x/d.jpg",
        "e\\*.jpg",
        "what?.jpg",
    )
    assert found("Album [2019]/*.jpg") == ["Album [2019]/a1.jpg", "Album [2019]/a[1].jpg"]
    assert found("Album [2019]/a[1].jpg") == ["Album [2019]/a[1].jpg"]
    assert found("Album [12]/*.jpg") == ["Album 2/b.jpg"]
    assert found("{x,y}/*.jpg") == ["{x,y}/c.jpg"]
    assert found("{x,z}/*.jpg") == ["x/d.jpg"]
    assert found("e\\*.jpg") == ["e\\*.jpg"]
    assert found("what?.jpg") == ["what?.jpg"]
    assert found("a[1.jpg") == []
    tree("a[1.jpg", "a]b.jpg", "a^b.jpg")
    assert found("a[1.jpg") == ["a[1.jpg"]
    assert found("a[]^]b.jpg") == ["a]b.jpg", "a^b.jpg"]


NAMES = ["a", "b", "ab", ".h", ".h.jpg", "x.jpg", "y.png", "c[d"]
SEGMENTS = ["*", "**", "?", "a*", "*.jpg", "[ab]", "[!a]*", ".*", ".h", "a", "x.jpg", "c[d", "*b", "[a-b]?"]


@settings(max_examples=200)
@given(st.sets(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(tuple), max_size=12), st.data())
def test_disks_give_what_python_gives(tmp_path_factory, paths, data):
    glob = "/".join(data.draw(st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4)))
    folder = tmp_path_factory.mktemp("tree")
    for path in paths:
        if not any(other != path and other[: len(path)] == path for other in paths):
            Path(folder, *path[:-1]).mkdir(parents=True, exist_ok=True)
            Path(folder, *path).touch()
    listed = [match for match in matches(f"{folder}/{glob}") if isinstance(match, str)]
    expected = {path for path in python_glob.glob(f"{folder}/{glob}", recursive=True) if os.path.isfile(path)}
    assert sorted(listed) == sorted(expected)


def test_linked_folders_loops_and_no_file_twice(tree):
    folder = tree("p/z/a.jpg", "p/z/deep/b.jpg", "elsewhere/c.jpg", "elsewhere/sub/d.jpg", "p/e.jpg")
    (folder / "p" / "a-link").symlink_to("z")
    (folder / "p" / "z" / "up").symlink_to("..")
    (folder / "p" / "z" / "self").symlink_to(".")
    (folder / "p" / "m2").symlink_to(folder / "elsewhere")
    (folder / "p" / "m1").symlink_to(folder / "elsewhere")
    (folder / "elsewhere" / "back").symlink_to(folder / "p")
    (folder / "p" / "f.jpg").symlink_to("e.jpg")  # a name of its own
    every = ["p/e.jpg", "p/f.jpg", "p/m1/c.jpg", "p/m1/sub/d.jpg", "p/z/a.jpg", "p/z/deep/b.jpg"]
    assert found("p/**") == found("p/**/*.jpg") == found("{p,p/z,p/*}/**") == every
    assert found("p/a-link/*.jpg") == ["p/a-link/a.jpg"]
    assert found("p/{z/a.*,a-link/*.jpg,a-link/deep/*}") == ["p/a-link/deep/b.jpg", "p/z/a.jpg"]
    assert found("p/z/self/self/a.jpg") == ["p/z/self/self/a.jpg"]
    (folder / "x").symlink_to("elsewhere/sub")
    assert list(matches("x/../*.jpg")) == [f"{folder}/x/../c.jpg"]  # what is above the folder that x leads to


def test_a_folder_that_is_reached_in_three_ways_gives_each_file_once(tree):
    folder = tree("a/x.jpg", "a/x.png", "b/y.gif", "d/y.gif")
    for name in "bd":
        (folder / name / "l").symlink_to("../a")
    assert found("{a/*.jpg,b/*/*.png,d/*/*.jpg}") == ["a/x.jpg", "b/l/x.png"]
    assert found("{a/*.gif,b/*/*.png,d/*/*}") == ["b/l/x.png", "d/l/x.jpg"]


FOLDERS = ["a", "b", "a/a", "a/b", "b/a", "c"]
LINKS = st.dictionaries(
    st.sampled_from(["l", "a/l", "a/m", "a/b/l", "b/l", "c/l"]), st.sampled_from([".", *FOLDERS]), max_size=4
)
FILE_LINKS = st.dictionaries(st.sampled_from(["f.jpg", "a/f.jpg", "a/b/f.jpg"]), st.sampled_from(FOLDERS), max_size=2)
TREES = ["**/*.jpg", "*/**/x.jpg", "a/**", "*/*/*.jpg", "{a,b}/**/*.jpg", "**/a/**/x.jpg", "{a/*,b/**,**/l/*}.jpg"]


def every_path(folder, depth):
    for entry in os.scandir(folder):
        if not entry.is_dir():
            yield entry.path
        elif depth:
            yield from every_path(entry.path, depth - 1)


@settings(max_examples=100)
@given(LINKS, FILE_LINKS, st.sampled_from(TREES))
def test_whatever_links_there_are_each_file_is_named_once(tmp_path_factory, links, file_links, glob):
    root = tmp_path_factory.mktemp("links")
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
        (root / folder / "x.jpg").touch()
    for name, target in links.items():
        (root / name).symlink_to(root / target)
    patterns = Patterns(parse_object(glob))
    expected = set()
    for path in every_path(root, depth=5):
        *folders, name = os.path.relpath(path, root).split("/")
        if patterns.file(reduce(patterns.folder, folders, patterns.start), name):
            expected.add(os.path.realpath(path))
    named = list(matches(f"{root}/{glob}"))
    assert sorted(map(os.path.realpath, named)) == sorted(expected)
    for name, target in file_links.items():
        (root / name).symlink_to(root / target / "x.jpg")
    for excluded, within in {"b": "/b/", f"{root}/a/b": "^/a/b/", "**/b/a": "/b/a/"}.items():
        kept = [path for path in matches(f"{root}/{glob}", LeaveOut([excluded])) if isinstance(path, str)]
        for path in map(os.path.realpath, kept):
            outside = excluded == "b" and not glob.startswith("*")  # of what is compared with names
            assert outside or not re.search(within, path.removeprefix(str(root)))
    # By its own path where that matches, too.
    for path in named:
        if os.path.realpath(path) != path:
            *folders, name = os.path.relpath(os.path.realpath(path), root).split("/")
            assert not patterns.file(reduce(patterns.folder, folders, patterns.start), name)


def test_what_leads_nowhere_and_what_is_no_file(tree):
    folder = tree("p/a.jpg", "p/folder.jpg/b.jpg")
    (folder / "p" / "gone.jpg").symlink_to("nowhere")
    (folder / "p" / "round.jpg").symlink_to("round.jpg")
    (folder / "p" / "album").symlink_to("/mnt/unplugged")
    (folder / "p" / ".lock").symlink_to("user@host")
    os.mkfifo(folder / "p" / "pipe.jpg")
    images = ["p/a.jpg", "p/gone.jpg", "p/round.jpg"]
    assert found("p/*.jpg") == ["-p/pipe.jpg", *images]
    assert found("p/**.jpg") == ["!p/album", "-p/.lock", "-p/pipe.jpg", *images[:1], "p/folder.jpg/b.jpg", *images[1:]]
    assert found("p/*/*.jpg") == ["!p/album", "!p/gone.jpg", "!p/round.jpg", "-p/.lock", "p/folder.jpg/b.jpg"]
    assert found("/dev/null") == ["-" + os.path.relpath("/dev/null")]


@contextmanager
def without_privileges():
    """root may read everything: as root, nobody does what follows."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_folders_that_may_not_be_read(tree, monkeypatch):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        for path in ("p/a.jpg", "p/closed/b.jpg", "p/closed/in/c.jpg", "p/dark/d.jpg", "p/dark/in/e.jpg"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
        (folder / "p" / "closed").chmod(0o311)
        (folder / "p" / "dark").chmod(0o644)
        try:
            with without_privileges():
                assert found("p/**/*.jpg") == ["!p/closed", "!p/dark/in", "p/a.jpg", "p/dark/d.jpg"]
                assert found("p/closed/in/*.jpg") == ["p/closed/in/c.jpg"]  # no list of closed is needed
                assert found("p/*/b.jpg") == ["!p/dark", "p/closed/b.jpg"]
                with pytest.raises(
                    ValueError, match=r"no image matches in the folders that can be listed\. .*/closed: The folder"
                ):
                    check_images(["p/closed/*.jpg"])
                assert len(check_images(["p/closed/*.jpg", "p/*.jpg"])) == 1
        finally:
            for name in ("closed", "dark"):
                (folder / "p" / name).chmod(0o755)


def test_names_that_are_no_text(tree):
    folder = tree("p/a.jpg")
    (Path(os.fsdecode(os.fsencode(folder) + b"/p/\xff.jpg"))).touch()
    assert len(list(matches("p/*.jpg"))) == 2


def test_listing_starts_at_once_and_holds_no_list(tree):
    tree(*(f"p/{number}/{number}.jpg" for number in range(50)))
    opened = []
    scandir = os.scandir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", lambda path: opened.append(path) or scandir(path))
        assert len(list(islice(matches("p/**/*.jpg"), 1))) == 1
        assert len(opened) == 2  # p, and the first folder in it
        assert check_images(["p/**/*.jpg"]) == []
        assert len(opened) == 4


def test_one_of_several_globs_without_a_match_is_a_note(tree):
    tree("p/a.jpg")
    assert check_images(["p/*.png", "p/*.jpg"]) == ["--images p/*.png: no image matches."]
    with pytest.raises(ValueError, match=r"^--images p/\*\.png: no image matches\.$"):
        check_images(["p/*.png", "q/*.jpg"])


@pytest.mark.parametrize(
    ("glob", "message"),
    [
        ("p", "p: is a folder; write 'p/*.jpg', or 'p/**.jpg'"),
        ("p/", "is a folder; write 'p/*.jpg'"),
        ("p/*/", r"is a folder; write 'p/*/*.jpg'"),
        ("s3://b/*.jpg", "globs work on gs:// and local disks only"),
        ("gs://b*/x.jpg", "write a glob over a bucket as gs://BUCKET/GLOB"),
        ("gs:///x.jpg", "write a glob over a bucket as gs://BUCKET/GLOB"),
        ("{a,b}" * 12, "expands to more than 1,000 patterns"),
        ("p/*.JPG", "no image matches; files and folders left out: 1 ("),
        ("p/*.png", "p/*.png: no image matches."),
        ("p/d/e*/*.jpg", "p/d/e*/*.jpg: no image matches; p/d does not exist."),
        ("q/r/**.jpg", "no image matches; q does not exist."),
        ("p/{c,d}.jpg", "p/{c,d}.jpg: no image matches."),
        ("p/c.jpg", "p/c.jpg: no image matches; p/c.jpg does not exist."),
        ("~/no such folder/*.jpg", "no image matches; ~/no such folder does not exist."),
        ("no such folder/", "no such folder/: no image matches; no such folder does not exist."),
        ("none/../q/*.jpg", "none/../q/*.jpg: no image matches."),
    ],
)
def test_globs_that_are_refused(tree, glob, message):
    tree("p/a.jpg", "p/.b.JPG")
    with pytest.raises(ValueError, match=re.escape(message)):
        check_images([glob])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_hint_at_the_other_unicode_form(tree, form):
    name = "p/Café für.jpg"
    tree(unicodedata.normalize(form, name))
    (other,) = {"NFC", "NFD"} - {form}
    glob = unicodedata.normalize(other, "p/Café*.jpg")
    if list(matches(glob)):
        pytest.skip("this disk takes both forms for one")
    with pytest.raises(ValueError, match=rf"no image matches as written, but .*\({form}\); write \*"):
        check_images([glob])
    assert check_images([unicodedata.normalize(form, glob)]) == []


def test_a_match_goes_through_a_pickle_with_its_version(tree):
    (found,) = matches(str(tree("a.jpg") / "*.jpg"))
    copy = pickle.loads(pickle.dumps(found))
    assert (copy, copy.version) == (found, found.version)
    assert found.version is not None
