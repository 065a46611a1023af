"""What a worker makes of a glob and of a piece of a list: URIs, bad rows, and how many there were."""

import os

from beam_job.listing.left_out import LeaveOut
from beam_job.listing.list_file import Piece
from beam_job.listing.rows import Fields
from beam_job.listing.uris import _GLOB, _LIST, _Read, absolute
from beam_job.records import Failure


def read(*sources, fields=Fields()):
    """URIs, failures, and the counts of the bundle."""
    reader = _Read(fields, LeaveOut())
    reader.start_bundle()
    found = [output for source in sources for output in reader.process(source)]
    counts = {output.tag: output.value.value for output in reader.finish_bundle()}
    uris = [output for output in found if isinstance(output, tuple)]
    return uris, [output.value for output in found if not isinstance(output, tuple)], counts


def test_a_glob(tmp_path):
    for name in ("a.jpg", "b.jpg", ".hidden.jpg", "c.png"):
        (tmp_path / name).write_bytes(b"123")
        os.utime(tmp_path / name, ns=(5, 5))
    (tmp_path / os.fsdecode(b"\xff.jpg")).touch()
    uris, failures, counts = read((_GLOB, f"{tmp_path}/*.jpg"), (_GLOB, f"{tmp_path}/*.png"))
    assert sorted(uris) == [(f"{tmp_path}/{name}", (1, None, "3-5")) for name in ("a.jpg", "b.jpg", "c.png")]
    assert all(type(uri) is str for uri, _ in uris)
    assert failures == [Failure(f"{tmp_path}/\\udcff.jpg", "list", "bad_row", "the URI is not valid Unicode.")]
    assert counts == {"read": 4, "left_out": 1}
    carrying = read((_GLOB, f"{tmp_path}/*.png"), fields=Fields(carry=("id", "album")))[0]
    assert carrying == [(f"{tmp_path}/c.png", (1, {"id": None, "album": None}, "3-5"))]


def test_a_link_that_leads_nowhere_has_no_version_and_a_folder_in_a_circle_is_a_failure(tmp_path):
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "round").symlink_to("round")
    uris, (failure,), counts = read((_GLOB, f"{tmp_path}/**.jpg"))
    assert uris == [(f"{tmp_path}/gone.jpg", None)]
    assert (failure.uri, failure.stage, failure.error) == (f"{tmp_path}/round", "list", "cannot_list")
    assert counts == {"read": 2, "left_out": 0}


def test_a_piece_of_a_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.jsonl").write_text('{"uri": "a.jpg", "v": 7, "id": 1}\n5\n{"uri": "gs://b/../c", "id": 2}\n')
    fields = Fields(carry=("id",), version="v")
    uris, (failure,), counts = read((_LIST, Piece("list.jsonl")), fields=fields)
    assert uris == [(f"{tmp_path}/a.jpg", (1, {"id": 1}, "7")), ("gs://b/../c", {"id": 2})]
    assert (failure.uri, failure.error) == ("list.jsonl#34", "bad_row")
    assert counts == {"read": 3, "left_out": 0}
    assert absolute("x/../y.jpg") == f"{tmp_path}/y.jpg"
