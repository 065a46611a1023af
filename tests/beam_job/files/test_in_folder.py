"""Files of a folder, deleted on disks and on Cloud Storage."""

import pytest

from beam_job.files.in_folder import delete_files, files_in
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
