"""Which content a URI has now, without its bytes."""

import os

import pytest

from beam_job.images.download import FetchError
from beam_job.images.fetch import Fetcher, FetchLimits
from tests.storage import Storage


def test_a_local_file_has_its_size_and_the_time_of_its_last_change(tmp_path):
    path = tmp_path / "a b.jpg"
    path.write_bytes(b"12345")
    os.utime(path, ns=(1, 1_700_000_000_000_000_007))
    fetcher = Fetcher(FetchLimits())
    assert fetcher.version(str(path)) == fetcher.version(path.as_uri()) == "5-1700000000000000007"


@pytest.mark.parametrize(("uri", "code"), [("none.jpg", "not_found"), ("file://host/x", "bad_uri")])
def test_files_that_are_not_there(tmp_path, uri, code):
    with pytest.raises(FetchError) as caught:
        Fetcher(FetchLimits()).version(uri if "://" in uri else f"{tmp_path}/{uri}")
    assert caught.value.code == code


def test_an_object_has_its_generation_and_a_page_on_the_web_none():
    with Storage() as storage:
        storage.bucket("photos")
        storage.put("photos", "a/b.jpg", b"1")
        fetcher = Fetcher(FetchLimits(max_bytes=1))
        version = fetcher.version("gs://photos/a/b.jpg")
        assert version is not None
        assert [found for _, _, found in fetcher.objects("photos", "a/")] == [version]
        storage.put("photos", "a/b.jpg", b"2")
        assert fetcher.version("gs://photos/a/b.jpg") not in (version, None)
        with pytest.raises(FetchError) as caught:
            fetcher.version("gs://photos/none.jpg")
        assert caught.value.code == "not_found"
        assert fetcher.version("https://example.org/a.jpg") is None
