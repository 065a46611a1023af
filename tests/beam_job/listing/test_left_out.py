"""What globs pass over."""

import pytest

from beam_job.listing.left_out import LeaveOut, Rules
from tests.matched import found


def test_left_out_by_default(tree):
    hidden = ["p/.a.jpg", "p/._b.jpg", "p/.c/d.jpg"]
    system = [
        "p/@eaDir/e.jpg",
        "p/#recycle/f.jpg",
        "p/Thumbs.db",
        "p/desktop.ini",
        "p/thumbs.DB",
        "p/$RECYCLE.BIN/g.jpg",
    ]
    tree("p/x.jpg", *hidden, *system)
    left_out = ["-p/#recycle", "-p/$RECYCLE.BIN", "-p/.c", "-p/@eaDir"]
    assert found("p/**/*.jpg") == sorted(["-p/._b.jpg", "-p/.a.jpg", *left_out, "p/x.jpg"])
    assert found("p/*.jpg") == ["-p/._b.jpg", "-p/.a.jpg", "p/x.jpg"]
    assert [name for name in found("p/**") if "b" in name] == [
        "-p/._b.jpg",
        "-p/Thumbs.db",
        "-p/thumbs.DB",
    ]
    assert found("p/**/*.jpg", include_hidden=True) == sorted(
        ["-p/#recycle", "-p/$RECYCLE.BIN", "-p/@eaDir", "p/x.jpg", *hidden]
    )
    for glob, named in {
        "p/.c/*.jpg": ["p/.c/d.jpg"],
        "p/.*/*.jpg": ["p/.c/d.jpg"],
        "*/.c/d.jpg": ["p/.c/d.jpg"],
        "p/.a.jpg": ["p/.a.jpg"],
        "p/@eaDir/*": ["p/@eaDir/e.jpg"],
        "p/@*/*": ["-p/@eaDir"],
        "p/{.c,*}/*.jpg": ["-p/#recycle", "-p/$RECYCLE.BIN", "-p/@eaDir", "p/.c/d.jpg"],
    }.items():
        assert found(glob) == named, glob


def test_a_glob_may_start_in_a_hidden_folder(tree, monkeypatch):
    folder = tree("home/.photos/a.jpg", "home/.photos/.b.jpg")
    for glob in (f"{folder}/home/.photos/*.jpg", "home/.photos/**"):
        assert found(glob) == ["-home/.photos/.b.jpg", "home/.photos/a.jpg"]
    monkeypatch.chdir("home/.photos")
    assert found("**") == ["-.b.jpg", "a.jpg"]


def test_exclude(tree):
    folder = tree(
        "p/a.jpg", "p/a.tmp.jpg", "p/raw/b.jpg", "p/raw/c/d.jpg", "p/2019/raw/e.jpg", "p/2019/f.jpg", "p/[x].jpg"
    )
    every = ["p/2019/f.jpg", "p/2019/raw/e.jpg", "p/[x].jpg", "p/a.jpg", "p/a.tmp.jpg", "p/raw/b.jpg", "p/raw/c/d.jpg"]

    def excluded(*exclude, glob="p/**"):
        return [name.removeprefix("-p/") for name in found(glob, exclude=exclude) if name.startswith("-")]

    assert found("p/**") == every
    assert excluded("raw") == excluded("raw/") == excluded("r[a]w") == ["2019/raw", "raw"]
    assert excluded("*.tmp.jpg", "[x].jpg") == ["[x].jpg", "a.tmp.jpg"]
    assert excluded("p/raw") == excluded(f"{folder}/p/raw") == excluded("./p/none/../raw") == ["raw"]
    assert excluded("p/raw/*") == ["raw/b.jpg", "raw/c"]
    assert excluded("**/raw/*.jpg") == ["2019/raw/e.jpg", "raw/b.jpg"]
    assert excluded("p/{raw,2019}/**.jpg") == ["2019/f.jpg", "2019/raw/e.jpg", "raw/b.jpg", "raw/c/d.jpg"]
    assert excluded("gs://p/raw", "p/none", "P") == []
    assert excluded("p") == []  # a name of the glob's own start
    assert found("p/**", exclude=["../*/p"]) == ["-p"]  # by its path it goes
    assert found("p/a.jpg", exclude=["a.jpg"]) == ["-p/a.jpg"]
    assert found("p/.h/*", exclude=[".h"]) == []
    with pytest.raises(ValueError, match="expands to more than 1,000 patterns"):
        found("p/*", exclude=["{a,b}" * 10])


def test_no_link_leads_to_an_excluded_folder(tree):
    folder = tree(
        "p/private/x.jpg", "p/private/in/y.jpg", "p/q/private/z.jpg", "p/a.jpg", "else/private/b.jpg", "else/c.jpg"
    )
    for name, target in {
        "p/before": "private",
        "p/z-after": "private",
        "p/into": "private/in",
        "p/deep": "q/private",
        "p/out": "../else/private",
        "p/other": "../else",
        "other": "p",
    }.items():
        (folder / name).symlink_to(target)

    def left(glob, pattern):
        return [name[1:] for name in found(glob, exclude=[pattern]) if name.startswith("-")]

    by_name = ["p/before", "p/deep", "p/into", "p/other/private", "p/out", "p/private", "p/q/private", "p/z-after"]
    assert left("p/**.jpg", "private") == by_name
    assert [name for name in found("p/**.jpg", exclude=["private"]) if name[0] != "-"] == ["p/a.jpg", "p/other/c.jpg"]
    assert left("p/*/*.jpg", "private") == [name for name in by_name if name.count("/") == 1]  # without a look into p/q
    by_path = ["p/before", "p/into", "p/private", "p/z-after"]
    for pattern in ("p/private", f"{folder}/p/private", "**/p/private", "p/pri*"):
        assert left("p/**.jpg", pattern) == by_path
    assert left("p/before/**.jpg", "p/private/*") == ["p/before/in", "p/before/x.jpg"]
    assert left("other/**.jpg", "other/private") == [f"other{name[1:]}" for name in by_path]
    assert left("p/**.jpg", "else/private") == ["p/other/private", "p/out"]
    # What the glob itself names is meant, links in it, too.
    (folder / "p" / "private" / "round").symlink_to(".")
    assert found("p/before/*.jpg", exclude=["private"]) == ["p/before/x.jpg"]
    assert found("p/private/**.jpg", exclude=["private"]) == ["p/private/in/y.jpg", "p/private/x.jpg"]


def test_no_link_to_a_file_leads_into_an_excluded_folder(tree):
    folder = tree("p/private/x.jpg", "p/q/x.jpg", "p/a.jpg", "else/private/b.jpg", "else/c.jpg")
    for name, target in {
        "p/fav.jpg": "private/x.jpg",
        "p/gone.jpg": "private/gone.jpg",
        "p/q/up.jpg": "../private/x.jpg",
        "p/fine.jpg": "a.jpg",
        "p/out.jpg": "../else/private/b.jpg",
        "p/other.jpg": "../else/c.jpg",
    }.items():
        (folder / name).symlink_to(target)

    def left(pattern, glob="p/**.jpg"):
        return [name[3:] for name in found(glob, exclude=[pattern]) if name.startswith("-")]

    inside = ["fav.jpg", "gone.jpg", "private", "q/up.jpg"]
    assert left("private") == [*inside[:2], "out.jpg", *inside[2:]]
    assert left("p/private") == left("**/p/private") == inside
    assert left("private", "p/*.jpg") == ["fav.jpg", "gone.jpg", "out.jpg"]
    assert left("**/private/*") == [*inside[:2], "out.jpg", "private/x.jpg", "q/up.jpg"]
    assert left("p/private/x.jpg") == ["fav.jpg", "private/x.jpg", "q/up.jpg"]
    assert left("a.jpg") == ["a.jpg", "fine.jpg"]
    assert left(f"{folder}/else") == ["other.jpg", "out.jpg"]
    assert left("else") == ["other.jpg"]  # names further up are not compared
    # What the glob itself names is meant, and the folder that it starts in.
    for pattern in ("private", "p/private", "p/private/*", "**/private/*"):
        assert found("p/fav.jpg", exclude=[pattern]) == ["p/fav.jpg"]
    (folder / "p" / "private" / "in").mkdir()
    (folder / "p" / "private" / "in" / "y.jpg").symlink_to("../x.jpg")
    assert found("p/private/in/*.jpg", exclude=["private"]) == ["p/private/in/y.jpg"]
    assert found("p/private/in/*.jpg", exclude=["p/private/x.jpg"]) == ["-p/private/in/y.jpg"]


def test_a_glob_may_start_with_a_link_to_anywhere(tree):
    """As /tmp and /var lead to /private/tmp and /private/var on macOS."""
    folder = tree("private/tmp/photos/a.jpg", "private/tmp/photos/in/b.jpg", "private/tmp/photos/private/c.jpg")
    for name, target in {
        "tmp": "private/tmp",
        "all": "private",
        "private/tmp/photos/link": "in",
        "private/tmp/photos/f.jpg": "a.jpg",
        "private/tmp/photos/z.jpg": "private/c.jpg",
        "private/tmp/photos/out": "../out",
    }.items():
        (folder / name).symlink_to(target)
    tree("private/tmp/out/d.jpg")
    outside = [f"tmp/photos/{name}" for name in ("a.jpg", "f.jpg", "in/b.jpg", "out/d.jpg")]
    below = ["-tmp/photos/private/c.jpg", "-tmp/photos/z.jpg"]
    for pattern in ("**/private/*", "**/private/**"):
        assert found("tmp/photos/**.jpg", exclude=[pattern]) == sorted([*below, *outside])
        assert found("tmp/photos/l*/b.jpg", exclude=[pattern]) == ["tmp/photos/link/b.jpg"]
        assert found("all/tmp/photos/in/*", exclude=[pattern]) == ["all/tmp/photos/in/b.jpg"]
        # Other patterns are still compared with the path that the link leads to.
        paths = found("tmp/photos/**.jpg", exclude=[pattern, "private/tmp/photos/in"])
        assert [path for path in paths if path[0] == "-"] == [
            f"-tmp/photos/{name}" for name in ("in", "link", "private/c.jpg", "z.jpg")
        ]
    for pattern in ("private", "private/tmp", "*/tmp", f"{folder}/priv*/**"):
        assert found("tmp/photos/in/*.jpg", exclude=[pattern]) == ["tmp/photos/in/b.jpg"]
    assert found("tmp/photos/in/*.jpg", exclude=["private/tmp/photos/*"]) == ["-tmp/photos/in"]
    assert found("tmp/photos/in/*.jpg", exclude=["tmp"]) == ["tmp/photos/in/b.jpg"]
    assert found("tmp/photos/in/*.jpg", exclude=["./tmp"]) == ["-tmp"]  # by the path that the glob names


def test_excluded_paths_may_hold_the_characters_of_globs(tree):
    folder = tree(
        "Album [2019]/private/a.jpg", "Album [2019]/b.jpg", "Album 2/private/c.jpg", "Album 2/d.jpg", "e f/g.jpg"
    )
    every = ["Album 2/d.jpg", "Album 2/private/c.jpg", "Album [2019]/b.jpg", "Album [2019]/private/a.jpg", "e f/g.jpg"]
    assert found("**.jpg") == every
    assert found("**.jpg", exclude=["Album [2019]/private"]) == ["-Album [2019]/private", *every[:3], "e f/g.jpg"]
    assert found("**.jpg", exclude=["./Album [2019]"]) == ["-Album [2019]", *every[:2], "e f/g.jpg"]
    assert found("**.jpg", exclude=["./Album [12]/*.jpg"]) == ["-Album 2/d.jpg", *every[1:]]
    assert found("**.jpg", exclude=[f"file://{folder}/e%20f"]) == ["-e f", *every[:-1]]


def test_the_output_folder_is_left_out(tree, monkeypatch):
    folder = tree("p/a.jpg", "p/out/run=1/b.jpg", "p/out/c.jpg", "p/run=5/d.jpg", "q/e.jpg")
    (folder / "p" / "link").symlink_to("out")
    (folder / "p" / "into").symlink_to("out/run=1")
    (folder / "q" / "p").symlink_to(folder / "p" / "out")
    left = ["-p/into", "-p/link", "-p/out", "p/a.jpg", "p/run=5/d.jpg"]
    for output in ("p/out", f"{folder}/p/out/", "q/p", "p/link/../out"):
        assert found("p/**", output=output) == left
    assert found("*/p*/*.jpg", output="p/out") == ["-q/p"]
    assert found("**/c.jpg", output="p/out") == ["-p/into", "-p/link", "-p/out", "-q/p"]
    assert found("p/**", output="gs://p/out")[0] == "p/a.jpg"
    # What the glob starts in is meant; the runs in it are not, unless they are named, too.
    assert found("p/out/**", output="p/out") == ["-p/out/run=1", "p/out/c.jpg"]
    assert found("p/*/*.jpg", output="p") == ["-p/run=5", "p/into/b.jpg", "p/out/c.jpg"]
    assert found("p/out/run=1/*", output="p/out") == ["p/out/run=1/b.jpg"]
    monkeypatch.chdir("p/out")
    assert found("**", output=".") == ["-run=1", "c.jpg"]


def test_the_output_folder_in_a_bucket_is_left_out():
    for output in ("gs://photos/OUTBOX", "gs://photos/OUTBOX/"):
        rules = Rules(LeaveOut(output=output), "gs://photos")
        paths = ("gs://photos/OUTBOX", "gs://photos/OUTBOX/run=1", "gs://photos/OUTBO", "gs://photos/OUTBOX2")
        assert [rules.is_output("gs://photos", path) for path in paths] == [True, True, False, False]
        assert rules.is_output("gs://photos/OUTBOX", "gs://photos/OUTBOX/run=1")
        assert not rules.is_output("gs://photos/OUTBOX", "gs://photos/OUTBOX/album")


def test_excluded_paths_in_a_bucket_are_written_as_its_globs_are():
    def excluded(bucket, name):
        rules = Rules(LeaveOut(exclude=["gs://photos/a/*.jpg"]), f"gs://{bucket}")
        return rules.below(rules.start, ["a", name]) is None

    assert excluded("photos", "x.jpg")
    assert not excluded("photos", "x.png")
    assert not excluded("other", "x.jpg")
