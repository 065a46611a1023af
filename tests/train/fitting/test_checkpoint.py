"""Checkpoints: whole or not at all."""

import errno
from pathlib import Path

import numpy as np
import pytest

from train.fitting.checkpoint import Checkpoint, CheckpointError

ARRAYS = {"variables": [np.arange(3), np.array(0.1, np.float32)], "best": []}


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "runs" / "one.npz", every_seconds=60)
    assert checkpoint.restore() is None
    assert not checkpoint.due
    checkpoint.save({"losses": [0.1]}, ARRAYS)
    snapshot = Checkpoint(checkpoint.file, every_seconds=0).restore()
    assert snapshot is not None
    assert snapshot.progress == {"losses": [0.1]}
    np.testing.assert_array_equal(snapshot.arrays["variables"][0], np.arange(3))
    assert snapshot.arrays["variables"][1].dtype == np.float32
    assert Checkpoint(checkpoint.file, every_seconds=0).due
    (tmp_path / "runs" / "one.npz.0.tmp").touch()  # of a run that was killed while it saved
    (tmp_path / "runs" / "two.npz").touch()
    checkpoint.remove()
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["two.npz"]
    assert checkpoint.restore() is None


def test_a_full_disk_keeps_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path / "one.npz", every_seconds=0)
    checkpoint.save({"step": 1}, ARRAYS)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*free some space"):
        checkpoint.save({"step": 2}, ARRAYS)
    snapshot = checkpoint.restore()
    assert snapshot is not None
    assert snapshot.progress == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["one.npz"]


def test_a_damaged_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.npz").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"one\.npz is damaged .*remove it"):
        Checkpoint(tmp_path / "one.npz", every_seconds=0).restore()
