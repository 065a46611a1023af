"""Output on file systems other than local disks and object stores: each file whole, or the output refused."""

import json

import pytest

from beam_job.cli import main
from beam_job.files.whole import WriteError, write_whole
from tests.hadoop_like import HadoopLike
from tests.photos import photos
from tests.tiny_model import write_tiny_model


@pytest.mark.usefixtures("colours")
def test_a_run_on_a_file_system_that_shows_files_while_they_are_written(tmp_path, monkeypatch):
    write_tiny_model(tmp_path / "model")
    photos(tmp_path / "photos", 3)
    seen = []
    monkeypatch.setattr(HadoopLike, "on_write", staticmethod(seen.append))
    argv = ["--images", f"{tmp_path}/photos/*.jpg", "--model", str(tmp_path / "model"), "--report"]
    argv += ["--output", f"like-hadoop://{tmp_path}/out"]
    assert main(argv) == 0
    assert main(argv) == 0
    assert len(seen) >= 4
    assert all(path.endswith(".tmp") for path in seen)  # no file has its name before it is whole
    first, second = sorted((tmp_path / "out").iterdir())
    assert {path.suffix for path in first.iterdir()} == {".json", ".jsonl", ".html"}
    assert [json.loads((run / "manifest.json").read_text())["counts"]["skipped"] for run in (first, second)] == [0, 3]


def test_a_file_system_that_renames_nothing_is_refused(tmp_path, capsys):
    with pytest.raises(WriteError, match="cannot write rigid://"):
        write_whole(f"rigid://{tmp_path}/a", b"data")
    assert list(tmp_path.iterdir()) == []
    write_tiny_model(tmp_path / "model")
    photos(tmp_path / "photos", 1)
    argv = ["--images", f"{tmp_path}/photos/*.jpg", "--model", str(tmp_path / "model")]
    assert main([*argv, "--output", f"rigid://{tmp_path}/out"]) == 2
    assert "--output rigid://" in capsys.readouterr().err
