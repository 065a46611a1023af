"""Which photos are gone, and when that cannot be told: disks that are not mounted, storage that fails."""

import errno
import os
import shutil

import pytest

from beam_job.prune import gone
from beam_job.prune.gone import MissingPlaceError, SilentStorageError, look_for
from beam_job.prune.presence import SILENT, Answer, Presence, Presences
from tests.storage import Storage


def look(uris, *missing, renamed=None, seconds=60.0):
    looked = look_for(map(str, uris), Presences(4, seconds, missing), renamed)
    return sorted(uri for uri in map(str, set(uris)) if uri in looked.gone), looked


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "archive" / "album"
    folder.mkdir(parents=True)
    paths = [folder / f"{number}.jpg" for number in range(6)]
    for path in paths:
        path.write_bytes(b"x")
    return paths


def test_a_photo_that_was_deleted_is_gone_and_each_is_looked_for_once(photos):
    photos[0].unlink()
    gone, looked = look([*photos, *photos, f"file://{photos[1]}"])
    assert gone == [str(photos[0])]
    assert looked.there == 5
    assert not looked.unclear


def test_an_album_that_was_deleted_is_gone(photos, tmp_path):
    other = tmp_path / "archive" / "other" / "a.jpg"
    assert look([*photos, other])[0] == [str(other)]


def test_photos_of_an_empty_folder_stay_as_their_disk_may_not_be_mounted(photos):
    album = photos[0].parent
    for path in photos:
        path.unlink()
    gone, looked = look(photos)
    assert not gone
    assert looked.unclear == {f"{album} is empty; a disk may not be mounted there": 6}
    inner, looked = look([album / "2026" / "a.jpg"])
    assert not inner
    assert looked.unclear.total() == 1
    assert look(photos, str(album))[0] == list(map(str, photos))
    assert look(photos, str(album.parent))[0] == list(map(str, photos))
    for other in ("2", "X"):
        assert not look(photos, f"{album}{other}")[0]


def test_a_disk_that_left_no_folder_behind_may_not_be_mounted(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("beam_job.prune.presence._MOUNTS", {str(tmp_path)})
    disk = tmp_path / "disk"
    gone, looked = look([*photos, disk / "photos" / "a.jpg"])
    assert not gone
    assert looked.unclear == {f"{disk} is missing; its disk may not be mounted": 1}
    assert look([*photos, disk / "photos" / "a.jpg"], str(disk))[0] == [f"{disk}/photos/a.jpg"]


def test_more_than_half_is_refused_unless_the_place_is_named(photos):
    for path in photos[:3]:
        path.unlink()
    assert len(look(photos)[0]) == 3
    photos[3].unlink()
    album = str(photos[0].parent)
    with pytest.raises(MissingPlaceError) as error:
        look(photos)
    assert f"4 of 6 photos in {album} are missing" in str(error.value)
    assert f"--missing {album}" in str(error.value)
    assert len(look(photos, album)[0]) == 4


def test_links_that_lead_nowhere_say_nothing(photos, tmp_path):
    link = photos[0].parent / "link.jpg"
    link.symlink_to(tmp_path / "elsewhere" / "a.jpg")
    folder = tmp_path / "archive" / "linked"
    folder.symlink_to(tmp_path / "not-mounted")
    gone, looked = look([*photos, link, folder / "a.jpg"])
    assert not gone
    assert looked.unclear.total() == 2


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        OSError(errno.ENOTCONN, "not connected"),
    ],
)
def test_errors_of_a_disk_say_nothing(photos, monkeypatch, error):
    stat = os.stat

    def failing(path, **more):
        if str(path) == str(photos[1]):
            raise error
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", failing)
    photos[0].unlink()
    gone, looked = look(photos)
    assert gone == [str(photos[0])]
    assert looked.unclear == {f"the disk says: {error.strerror}": 1}


def test_other_places_are_not_asked(photos):
    gone, looked = look(
        [*photos, "https://example.org/a.jpg", "hdfs://host/a.jpg", "relative.jpg", "file://host/a.jpg", "a\0b"]
    )
    assert not gone
    assert looked.unclear == {
        "neither on a disk nor on gs://; to remove their records, name them with --uris": 2,
        "the path is not absolute": 2,
        "it is no path": 1,
    }


def test_photos_of_a_moved_archive_are_looked_for_in_their_new_place(photos, tmp_path):
    old, new = f"{tmp_path}/archive/", f"{tmp_path}/moved/"
    shutil.move(old, new)
    moved = [str(path) for path in photos]
    os.unlink(moved[0].replace(old, new))
    gone, looked = look(moved, renamed=(old, new))
    assert gone == [moved[0]]
    assert looked.there == 5


@pytest.fixture
def storage():
    with Storage() as storage:
        yield storage


@pytest.fixture
def bucket(storage):
    storage.bucket("archive")
    for number in range(6):
        storage.put("archive", f"album/{number}.jpg", b"x")
    return [f"gs://archive/album/{number}.jpg" for number in range(6)]


def test_objects_are_gone_where_storage_says_so(storage, bucket):
    gone, looked = look([*bucket, "gs://archive/gone.jpg"])
    assert gone == ["gs://archive/gone.jpg"]
    assert looked.there == 6
    assert storage.looked_at["album/0.jpg"] == 1


@pytest.mark.parametrize("status", [401, 403, 400])
def test_objects_that_may_not_be_looked_at_stay(storage, bucket, status):
    storage.metadata_faults["album/1.jpg"] = [status]
    gone, looked = look(bucket)
    assert not gone
    assert (looked.there, looked.unclear.total()) == (5, 1)


def test_an_object_that_storage_falters_on_is_asked_for_again(storage, bucket):
    storage.metadata_faults["album/1.jpg"] = [503, 429]
    assert look(bucket)[1].there == 6


def test_storage_that_does_not_answer_ends_the_prune(storage):
    uris = [f"gs://archive/{number}.jpg" for number in range(250)]
    storage.metadata_faults = {f"{number}.jpg": [503] * 99 for number in range(250)}
    with pytest.raises(SilentStorageError, match="gs://archive does not answer"):
        look(uris, seconds=0.05)


def test_storage_that_answers_now_and_then_does_not_end_the_prune(monkeypatch):
    silent = Answer(Presence.UNCLEAR, SILENT, "gs://archive")
    answers = {"gs://archive/2": Answer(Presence.THERE, place="gs://archive")}
    monkeypatch.setattr(Presences, "ask", lambda self, uri: answers.get(uri, silent))
    monkeypatch.setattr(gone, "_MOST_SILENT", 3)
    assert look([f"gs://archive/{number}" for number in range(5)])[1].unclear == {SILENT: 4}
    with pytest.raises(SilentStorageError):
        look([f"gs://archive/{number}" for number in range(6)])


def test_a_bucket_that_was_deleted_is_refused(bucket):
    lost = [f"gs://lost/{number}.jpg" for number in range(3)]
    with pytest.raises(MissingPlaceError, match="3 of 3 photos in gs://lost are missing"):
        look([*bucket, *lost])
    assert look([*bucket, *lost], "gs://lost")[0] == lost
