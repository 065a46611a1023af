"""The files of a folder: found by their names, and deleted, on disks, on Cloud Storage and elsewhere."""

import logging
import os

import pytest
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.gcp.gcsio import GcsIO

from beam_job.files.in_folder import delete_files, files_in
from tests.cloud import storage_emulator
from tests.hadoop_like import HadoopLike
from tests.storage import Storage


@pytest.fixture
def storage():
    with Storage() as storage:
        storage.bucket("b")
        yield storage


def test_many_objects_are_deleted_with_few_requests(storage, tmp_path):
    names = [f"[a]*?/run=1/captions-{number:03}.jsonl" for number in range(230)]
    for name in [*names, "[a]*?/run=1/manifest.json", "aa/run=1/captions-000.jsonl"]:
        storage.put("b", name, b"{}")
    local = tmp_path / "local"
    local.write_text("")
    before = storage.changes
    assert delete_files([*(f"gs://b/{name}" for name in names), str(local)]) == {}
    assert storage.changes - before == 3
    assert files_in("gs://b/[a]*?", "run=1", "*") == ["gs://b/[a]*?/run=1/manifest.json"]
    assert files_in("gs://b/aa", "run=1", "*") == ["gs://b/aa/run=1/captions-000.jsonl"]
    assert not local.exists()


def test_what_cannot_be_deleted_is_named_with_the_reason(storage, tmp_path):
    storage.put("b", "one", b"{}")
    missing = str(tmp_path / "missing")
    left = delete_files(["gs://b/one", "gs://b/gone", missing, "odd://b/one"])
    assert left.keys() == {missing, "odd://b/one"}  # an object that somebody else has deleted is none that is left
    assert isinstance(left[missing], FileNotFoundError)
    assert "odd" in str(left["odd://b/one"])
    assert files_in("gs://b", "*") == []


def test_files_are_found_by_names_and_folders_that_may_not_be_read_are_named(tmp_path, caplog, monkeypatch):
    for name in ("b/x.json", "a/x.json", "a/x.txt", "c.json", "a/deep/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("")
    (tmp_path / "a" / "folder.json").mkdir()
    assert files_in(str(tmp_path), "*", "*.json") == [f"{tmp_path}/a/x.json", f"{tmp_path}/b/x.json"]
    assert files_in(str(tmp_path), "*.json") == [f"{tmp_path}/c.json"]
    assert files_in(f"{tmp_path}/none", "*") == files_in(f"{tmp_path}/c.json", "*") == []
    listdir = os.listdir

    def closed(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return listdir(path)

    monkeypatch.setattr("os.listdir", closed)
    with caplog.at_level(logging.WARNING):
        assert files_in(str(tmp_path), "*", "*.json") == [f"{tmp_path}/a/x.json"]
        assert "/b cannot be read: this account lacks permission." in caplog.text
        caplog.clear()
        unread = {}
        assert files_in(str(tmp_path), "*", "*.json", unread=unread) == [f"{tmp_path}/a/x.json"]
    assert unread == {f"{tmp_path}/b": "cannot be read: this account lacks permission"}
    assert not caplog.records
    with pytest.raises(PermissionError):
        files_in(f"{tmp_path}/b", "*.json")


def test_linked_folders_in_a_folder_are_passed_over_and_the_folder_itself_may_be_a_link(tmp_path, caplog):
    for name in ("there/run=1/x.json", "elsewhere/run=2/x.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    (tmp_path / "there" / "run=2").symlink_to(tmp_path / "elsewhere" / "run=2")
    (tmp_path / "there" / "run=3").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("there")
    unread = {}
    assert files_in(f"{tmp_path}/link", "run=*", "*", unread=unread) == [f"{tmp_path}/link/run=1/x.json"]
    assert unread == {f"{tmp_path}/link/run={n}": "is a symbolic link, which is not followed" for n in (2, 3)}
    assert files_in(f"{tmp_path}/there/run=2", "*") == [f"{tmp_path}/there/run=2/x.json"]  # as a person has named it
    assert not caplog.records
    assert files_in(f"{tmp_path}/there", "run=2", "*") == []
    assert f"{tmp_path}/there/run=2 is a symbolic link" in caplog.text


def test_the_files_of_a_bucket_are_found_by_their_names_as_they_are_written():
    with storage_emulator() as client:
        bucket = client.bucket("bucket")
        for name in (
            "[a]*/run=1/x.json",
            "[a]*/run=2/x.json",
            "[a]*/run=2/x_json",
            "[a]*/run=2/y/x.json",
            "a/run=1/x.json",
        ):
            bucket.blob(name).upload_from_string("")
        found = ["gs://bucket/[a]*/run=1/x.json", "gs://bucket/[a]*/run=2/x.json"]
        assert files_in("gs://bucket/[a]*", "run=*", "*.json") == found
        assert files_in("gs://bucket/[a]*/run=1", "*") == found[:1]
        assert files_in("gs://bucket/[a]*", "run=1", "x*") == found[:1]


@pytest.mark.parametrize(
    ("fails", "left"),
    [
        (lambda paths: raised(BeamIOError("no", {paths[1]: PermissionError("kept")})), {"b": "kept"}),
        (lambda paths: raised(BeamIOError("no")), {"a": "no with exceptions None", "b": "no with exceptions None"}),
        (lambda paths: raised(RuntimeError("no network")), {"a": "no network", "b": "no network"}),
    ],
)
def test_files_that_another_file_system_does_not_delete_are_left(fails, left, tmp_path, monkeypatch):
    for name in ("a", "b", "local"):
        (tmp_path / name).write_text("")
    place = f"{HadoopLike.scheme()}://{tmp_path}/"
    with monkeypatch.context() as patched:
        patched.setattr(HadoopLike, "delete", lambda self, paths: fails(paths))
        found = delete_files([f"{place}a", f"{tmp_path}/local", f"{place}b"])
    assert {path.removeprefix(place): str(reason) for path, reason in found.items()} == left
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert delete_files([f"{place}a", f"{place}b"]) == {}
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (lambda paths: [(paths[0], None), (paths[1], 403)], {"gs://b/2": "HTTP status 403"}),
        (lambda paths: raised(RuntimeError("no network")), {"gs://b/1": "no network", "gs://b/2": "no network"}),
    ],
)
def test_objects_that_storage_does_not_delete_are_left(answer, left, tmp_path, monkeypatch):
    (tmp_path / "local").write_text("")
    monkeypatch.setattr(GcsIO, "delete_batch", lambda self, paths: answer(paths))
    with storage_emulator():
        found = delete_files(["gs://b/1", f"{tmp_path}/local", "gs://b/2"])
    assert {path: str(reason) for path, reason in found.items()} == left
    assert list(tmp_path.iterdir()) == []


def raised(error):
    raise error
