"""The counts of an export add up, or it has no manifest."""

import pytest

from beam_job.export.export import Export
from beam_job.runs.manifest import UnbalancedError


def test_counts_that_do_not_add_up_leave_no_manifest(tmp_path):
    export = Export(str(tmp_path), {})
    export.start()
    for read, counted in ((3, [(("written", None), 2)]), (1, [(("failed", "conflict"), 1)])):
        with pytest.raises(UnbalancedError):
            export.finish([read], counted, [])
    assert not list(tmp_path.rglob("manifest.json"))
    manifest = export.finish([2], [(("written", None), 1), (("left_out", "below --min_score"), 1)], [])
    assert manifest["counts"] == {"read": 2, "written": 1, "unchanged": 0, "kept": 0, "left_out": 1, "failed": 0}
    assert manifest["left_out_by_reason"] == {"below --min_score": 1}


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="the export's manifest cannot be written there"):
        Export(str(tmp_path / "file"), {}).start()
