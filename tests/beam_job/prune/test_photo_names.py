"""Names of photos: one photo under several names."""

from beam_job.prune.photo_names import PhotoNames, names_of, present_name


def photo_names(*uris, renamed=None):
    found = PhotoNames(renamed)
    for uri in uris:
        found.add(uri)
    return found


def test_a_photo_has_one_name_as_a_path_and_as_a_uri_and_two_in_a_moved_archive():
    assert "file:///a%20b.jpg" in photo_names("/a b.jpg")
    assert "/a b.jpg" in photo_names("file:///a%20b.jpg")
    assert "/a%20b.jpg" not in photo_names("file:///a%20b.jpg")
    moved = ("/old/", "gs://new/")
    assert "/old/a.jpg" in photo_names("gs://new/a.jpg", renamed=moved)
    assert "gs://b/\udcff.jpg" in photo_names("gs://b/\udcff.jpg")  # as a path may be that is no valid Unicode
    assert "gs://new/a.jpg" in photo_names("/old/a.jpg", renamed=moved)
    assert "/older/a.jpg" not in photo_names("gs://new/a.jpg", renamed=moved)
    assert present_name("/old/a.jpg", moved) == "gs://new/a.jpg"
    assert present_name("/older/a.jpg", moved) == "/older/a.jpg"
    assert list(names_of("/a.jpg", None)) == [present_name("/a.jpg", None)]
