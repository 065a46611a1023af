"""The lists that --uris names: pipes are read whole, what is no list is refused, and a damaged one fails the run."""

import gzip
import json
import os
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from beam_job.cli import main
from beam_job.listing.list_file import ListError
from beam_job.listing.lists import check_list, copy_pipes, list_pieces
from beam_job.listing.rows import Fields, Piece, rows
from tests.hadoop_like import HadoopLike
from tests.photos import photos
from tests.pipes import pipe
from tests.tiny_model import write_tiny_model


def uris(names, fields=Fields()):
    """The URIs of lists, pipes among them."""
    with ExitStack() as at_end:
        copies = copy_pipes(names, at_end)
        for name in names:
            check_list(name, fields, copies)
        return [row.uri for name in names for piece in list_pieces(name, copies) for row in rows(Piece(*piece), fields)]


@contextmanager
def standard_input(path):
    """Makes a file or a pipe the standard input of this process."""
    saved, opened = os.dup(0), os.open(path, os.O_RDONLY | os.O_NOCTTY)
    try:
        os.dup2(opened, 0)
        yield
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(opened)


LISTED = "".join(f"{number}.jpg\n" for number in range(100_000)).encode()  # more than a pipe holds


def test_pipes_give_all_their_rows():
    with pipe(LISTED) as one, pipe(b"x.jpg") as other:
        assert uris([one, other]) == [*LISTED.decode().split(), "x.jpg"]


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_standard_input(tmp_path, name):
    with pipe(LISTED) as piped, standard_input(piped):
        assert uris([name]) == LISTED.decode().split()
    with pipe(b"x.jpg") as piped, standard_input(piped):
        assert uris([name, "-"]) == ["x.jpg", "x.jpg"]  # one copy, whatever it is called
    (tmp_path / "list.csv").write_text("uri\nx.jpg\n")
    with standard_input(tmp_path / "list.csv"):
        assert uris([name]) == ["x.jpg"]
    (tmp_path / "gone.txt").write_text("x.jpg\ny.jpg\n")
    with standard_input(tmp_path / "gone.txt"):
        (tmp_path / "gone.txt").unlink()  # as a shell does with a here-document
        os.lseek(0, 6, os.SEEK_SET)
        assert uris([name]) == ["y.jpg"]


def test_an_open_file_without_a_name_is_copied(tmp_path, monkeypatch):
    """On macOS /dev/fd/0 is no link, and all who open it go on where another one stopped."""
    (tmp_path / "list.txt").write_text("x.jpg\ny.jpg\n")
    with monkeypatch.context() as patch, standard_input(tmp_path / "list.txt"), ExitStack() as at_end:
        patch.setattr(os.path, "realpath", lambda path: "/dev/fd/0" if path == "/dev/stdin" else path)
        copies = copy_pipes(["-", "/dev/stdin"], at_end)
        assert not {*copies.values()} & {"/dev/fd/0", str(tmp_path / "list.txt")}
        assert {Path(copy).read_text() for copy in copies.values()} == {"x.jpg\ny.jpg\n"}
        with pytest.raises(ValueError, match="/dev/stdin can be read only once on this system; write the name"):
            check_list("/dev/stdin", Fields(), {})  # as commands do that copy nothing
    (tmp_path / "gone.txt").write_text("x.jpg\n")
    with standard_input(tmp_path / "gone.txt"):
        (tmp_path / "gone.txt").unlink()
        (tmp_path / "gone.txt (deleted)").write_text("other.jpg\n")  # what Linux calls the file that is gone
        assert uris(["-"]) == ["x.jpg"]


def test_the_name_of_a_pipe_says_what_it_holds(tmp_path):
    os.mkfifo(tmp_path / "list.csv.gz")
    thread = threading.Thread(target=lambda: (tmp_path / "list.csv.gz").write_bytes(gzip.compress(b"uri\nx.jpg\n")))
    thread.start()
    assert uris([str(tmp_path / "list.csv.gz")]) == ["x.jpg"]
    thread.join()


def test_copies_are_deleted():
    with pipe(b"x.jpg\n") as name, ExitStack() as at_end:
        copies = copy_pipes([name], at_end)
        assert os.path.exists(copies[name])
    assert not os.path.exists(copies[name])


def test_a_pipe_that_cannot_be_copied(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    (tmp_path / "list.txt").write_text("x.jpg")
    assert uris([str(tmp_path / "list.txt")]) == ["x.jpg"]  # only a pipe needs a copy
    with pipe(b"x.jpg") as name, pytest.raises(ValueError, match=f"^--uris {name}: the pipe cannot be copied"):
        uris([name])


def test_a_bad_row_of_a_pipe_has_the_pipes_name():
    with pipe(b"x.jpg\n\xff") as name, ExitStack() as at_end:
        copies = copy_pipes([name], at_end)
        (piece,) = list_pieces(name, copies)
        _, bad = rows(Piece(*piece), Fields())
    assert bad.place == f"{name}#6"


def test_a_pipe_is_refused_where_others_would_read_it(capsys, tmp_path):
    write_tiny_model(tmp_path / "model")
    argv = ["--output", str(tmp_path / "out"), "--model", str(tmp_path / "model"), "--runner", "FlinkRunner"]
    with pipe(b"x.jpg\n") as name:
        for listed in (name, "-"):
            assert main(["--uris", listed, *argv]) == 2
            assert f"--uris {listed}: only a run on this machine can read a pipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/dev/zero", "/dev/zero is a device, not a list."),
        ("/dev/null", "/dev/null is a device, not a list."),
        ("{folder}", r"is a folder, not a list; name the lists in it"),
        ("{folder}/*", r"/pipe.csv is a pipe, not a list"),
        ("{folder}/none.csv", "there is no such file"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path, name, message):
    os.mkfifo(tmp_path / "pipe.csv")
    name = name.format(folder=tmp_path)
    with pytest.raises(ValueError, match=message) as raised:
        check_list(name, Fields(), {})
    assert str(raised.value).startswith(f"--uris {name}: ")


def test_a_list_of_text_has_no_versions(tmp_path):
    (tmp_path / "a.csv").write_text("uri,v\nx.jpg,1\n")
    (tmp_path / "b.txt").write_text("x.jpg\n")
    for name in (f"{tmp_path}/b.txt", f"{tmp_path}/*"):
        check_list(name, Fields(), {})
        with pytest.raises(ValueError, match="has one URI per line") as raised:
            check_list(name, Fields(version="v"), {})
        assert str(raised.value) == (
            f"--uris {name}: the list {tmp_path}/b.txt has one URI per line, and no versions; --version_field v needs "
            "CSV, TSV or JSON lines."
        )
    check_list(f"{tmp_path}/a.csv", Fields(version="v"), {})
    with pytest.raises(ValueError, match=r"^--uris -: the list - has one URI per line"):
        check_list("-", Fields(version="v"), {"-": f"{tmp_path}/b.txt"})


def test_json_lines_without_any_version_are_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"uri": "x.jpg", "generation": 1}\n\nnonsense\n5\n{"uri": "y.jpg", "v": 1}\n')
    for version in ("generation", "v"):  # of some rows alone: programs leave out what is null
        check_list(str(path), Fields(version=version), {})
    with pytest.raises(ValueError, match="genration") as raised:
        check_list(str(path), Fields(version="genration"), {})
    assert str(raised.value) == (
        f"--uris {path}: none of its first rows has the field 'genration'; the fields of the first are "
        "['uri', 'generation']. See --version_field."
    )
    path.write_text('{"uri": "x.jpg", "v": null}\n{"uri": "y.jpg", "v": ""}\n')
    check_list(str(path), Fields(version="v"), {})


def test_a_list_may_be_named_by_a_uri(tmp_path):
    (tmp_path / "a list.txt").write_text("x.jpg\n")
    assert uris([f"file://{tmp_path}/a%20list.txt", str(tmp_path / "a list.txt")]) == ["x.jpg", "x.jpg"]


def test_globs_of_lists_leave_hidden_files_out(tmp_path):
    names = ["a.csv", "._a.csv", ".b.csv.swp", ".list.csv.Xy12", "Thumbs.db", ".folder/c.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"uri\nx.jpg\n" if name == "a.csv" else b"\xff\xfe\0\0")
    (tmp_path / ".#a.txt").symlink_to("user@host.123")
    os.mkfifo(tmp_path / ".pipe")
    (tmp_path / "._named.csv").write_text("uri\ny.jpg\n")

    def paths(glob, **options):
        return [os.path.relpath(piece[0], tmp_path) for piece in list_pieces(glob, {}, **options)]

    assert uris([f"{tmp_path}/*"]) == uris([f"{tmp_path}/**.csv"]) == ["x.jpg"]
    assert uris([f"{tmp_path}/._named.csv"]) == ["y.jpg"]
    assert paths(f"{tmp_path}/*.csv", include_hidden=True) == ["._a.csv", "._named.csv", "a.csv"]
    assert paths(f"{tmp_path}/._*.csv") == ["._a.csv", "._named.csv"]
    elsewhere = f"{HadoopLike.scheme()}://{tmp_path}"
    assert [os.path.basename(path) for path in paths(f"{elsewhere}/*.csv")] == ["a.csv"]
    assert [os.path.basename(path) for path in paths(f"{elsewhere}/._n*")] == ["._named.csv"]
    check_list(f"{tmp_path}/*.csv", Fields(), {})
    with pytest.raises(ValueError, match="UTF-16"):
        check_list(f"{tmp_path}/*.csv", Fields(), {}, include_hidden=True)


def test_lists_of_other_file_systems_are_read_in_the_order_of_their_names(tmp_path, monkeypatch):
    for name in "bca":
        (tmp_path / f"{name}.txt").write_text(f"{name}.jpg\n")
    found = list(HadoopLike(None)._list(f"{HadoopLike.scheme()}://{tmp_path}"))
    monkeypatch.setattr(
        HadoopLike, "_list", lambda self, folder: sorted(found, key=lambda file: file.path, reverse=True)
    )
    assert uris([f"{HadoopLike.scheme()}://{tmp_path}/*.txt"]) == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_terminal_is_refused(monkeypatch):
    main_end, terminal = os.openpty()
    with standard_input(os.ttyname(terminal)), pytest.raises(ValueError, match="--uris -: this is a terminal"):
        uris(["-"])
    os.close(main_end)
    os.close(terminal)


@pytest.mark.parametrize("data", [gzip.compress(LISTED)[:-1], gzip.compress(LISTED)[:-1000], b"", b"a.jpg\n"])
def test_damage_is_found_before_the_job_starts(tmp_path, data):
    (tmp_path / "list.txt.gz").write_bytes(data)
    with pytest.raises(ValueError, match=f"^--uris {tmp_path}/list.txt.gz: The list {tmp_path}/list.txt.gz "):
        check_list(f"{tmp_path}/list.txt.gz", Fields(), {})


def test_damage_that_the_check_cannot_see_is_found_by_the_run(tmp_path):
    packed = gzip.compress((b"x" * 1000 + b".jpg\n") * 10_000)[:-1]
    (tmp_path / "list.txt.gz").write_bytes(packed)
    check_list(f"{tmp_path}/list.txt.gz", Fields(), {})
    (piece,) = list_pieces(f"{tmp_path}/list.txt.gz", {})
    with pytest.raises(ListError, match="ends too early"):
        list(rows(Piece(*piece), Fields()))


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize("in_processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_over_a_damaged_list_and_one_over_a_pipe(capfd, tmp_path, in_processes):
    write_tiny_model(tmp_path / "model")
    output = tmp_path / "out"
    argv = ["--output", str(output), "--model", str(tmp_path / "model"), "--runner", "DirectRunner"]
    argv += ["--direct_num_workers=2", "--direct_running_mode=multi_processing"] if in_processes else []
    listed = "".join(f"{path}\n" for path in photos(tmp_path / "photos", 3)).encode()
    (tmp_path / "1.txt").write_bytes(listed)
    (tmp_path / "2.txt.gz").write_bytes(gzip.compress(listed)[:-9])
    assert main(["--uris", f"{tmp_path}/[12].*", *argv]) == 1
    told = capfd.readouterr().err
    assert f"failed: The list {tmp_path}/2.txt.gz ends too early: a part of it is missing." in told
    assert in_processes or "Traceback" not in told  # Beam's worker processes print one
    with pipe(listed) as name:
        assert main(["--uris", name, *argv]) == 0
        assert "3 images: 3 captioned" in capfd.readouterr().err
        (manifest,) = (json.loads(path.read_bytes()) for path in output.glob("run=*/manifest.json"))
        assert manifest["options"]["uris"] == [name]
