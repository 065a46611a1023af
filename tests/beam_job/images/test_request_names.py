"""Any name of a bucket and an object is asked for as it is."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.images.download import FetchError
from beam_job.images.fetch import Fetcher, FetchLimits
from tests.answers import answer, sent


@pytest.fixture(scope="module")
def recording():
    """A server that gives nothing and keeps what it was asked for."""
    with sent(answer("Content-Length: 0", body=b"")) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server, Fetcher(FetchLimits())


def paths(recording, uri):
    """What the server was asked for."""
    server, fetcher = recording
    server.requests.clear()
    fetcher.fetch(uri)
    return [request.split(b" ", 2)[1] for request in server.requests]


PREFIX = b"/download/storage/v1/b/"
odd_parts = st.sampled_from(["..", ".", "/", "\\", "%2e", "%2F", "#", "?", "a", ";", "\n", "\r", " "])
object_names = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20),
    st.lists(odd_parts, min_size=1).map("".join),
)


@settings(max_examples=300)
@given(object_names.map(lambda name: name.replace("/", "")), object_names)
def test_any_name_is_asked_for_as_it_is(recording, bucket, name):
    if bucket in ("", ".", "..") or name in (".", ".."):
        with pytest.raises(FetchError) as raised:
            recording[1].fetch(f"gs://{bucket}/{name}")
        assert raised.value.code == "bad_uri"
        return
    (path,) = paths(recording, f"gs://{bucket}/{name}")
    assert path.startswith(PREFIX)
    assert path.endswith(b"?alt=media")
    parts = path.removeprefix(PREFIX).removesuffix(b"?alt=media").split(b"/")
    assert [unquote_to_bytes(part) for part in parts] == [bucket.encode(), b"o", name.encode()]


@pytest.mark.parametrize("uri", ["gs://../a.jpg", "gs://./a.jpg", "gs://photos/..", "gs://photos/.", "gs://../.."])
def test_dots_alone_are_no_names(recording, uri):
    with pytest.raises(FetchError) as raised:
        paths(recording, uri)
    assert raised.value.code == "bad_uri"
