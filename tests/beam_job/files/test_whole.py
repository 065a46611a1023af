"""Files are written whole or not at all, on every file system."""

import pytest

from beam_job.files import whole
from beam_job.files.whole import WriteError, has_folders, open_whole, write_whole
from tests.hadoop_like import HadoopLike, Rigid


@pytest.mark.parametrize(
    ("path", "folders"),
    [
        ("/a/b", True),
        ("a", True),
        ("gs", True),
        ("hdfs://a/b", True),
        ("gs://a/b", False),
        ("s3://a/b", False),
        ("gs://a/b://c", False),
    ],
)
def test_which_storages_have_folders(path, folders):
    assert has_folders(path) is folders


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(WriteError, match=f"^cannot write {tmp_path}/taken: Is a directory$"):
        write_whole(str(tmp_path / "taken"), b"x")
    with pytest.raises(WriteError, match=r"none/x: No such file or directory$"):
        write_whole(str(tmp_path / "none" / "x"), b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_what_a_file_system_says_stands_in_the_message(tmp_path):
    with pytest.raises(WriteError, match=rf"^cannot write rigid://{tmp_path}/x: Rename operation failed"):
        write_whole(f"{Rigid.scheme()}://{tmp_path}/x", b"x")
    with pytest.raises(WriteError, match=r"^cannot write nowhere://x: Unable to get filesystem"):
        write_whole("nowhere://x", b"x")


@pytest.mark.parametrize("scheme", ["", f"{HadoopLike.scheme()}://"])
def test_a_file_is_replaced_whole(scheme, tmp_path):
    path = f"{scheme}{tmp_path}/report.html"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("report.html", b"new")]


@pytest.mark.parametrize("stores", [(), (HadoopLike.scheme(),)])
def test_whatever_its_name_a_file_has_the_bytes_that_were_written(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "_OBJECT_STORES", stores)
    write_whole(f"{HadoopLike.scheme()}://{tmp_path}/page.html.gz", b"as it is")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("page.html.gz", b"as it is")]


@pytest.mark.parametrize("scheme", ["", f"{HadoopLike.scheme()}://"])
def test_a_block_that_fails_leaves_what_was_there(scheme, tmp_path):
    def interrupted():
        yield b"ne"
        raise KeyboardInterrupt

    path = f"{scheme}{tmp_path}/scores.npz"
    write_whole(path, b"old")
    with pytest.raises(KeyboardInterrupt), open_whole(path) as file:
        file.writelines(interrupted())
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("scores.npz", b"old")]
