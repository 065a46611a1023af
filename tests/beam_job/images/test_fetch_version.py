"""Which content an image has now, as its place tells it."""

from urllib.parse import parse_qs, urlsplit

import pytest

from beam_job.images.download import FetchError
from beam_job.images.fetch import Fetcher, FetchLimits

URI = "gs://photos/one.jpg"


def answered(monkeypatch, answer):
    """A fetcher to which Cloud Storage answers in that way."""
    monkeypatch.setattr(Fetcher, "_get", lambda *_, **__: answer)
    return Fetcher(FetchLimits())


def test_the_generation_of_an_object(monkeypatch):
    assert answered(monkeypatch, b'{"generation": "1700000000000001"}').version(URI) == "1700000000000001"


def test_a_listing_asks_for_three_fields_of_each_object_page_after_page(monkeypatch):
    asked = []
    pages = [
        b'{"items": [{"name": "a b/1.jpg", "size": "5", "generation": "7"}], "nextPageToken": "more"}',
        b'{"items": [{"name": "a b/2.jpg", "size": "6"}]}',
        b"{}",
    ]

    def answer(_, path, *__, **___):
        asked.append(urlsplit(path))
        return pages[len(asked) - 1]

    monkeypatch.setattr(Fetcher, "_get", answer)
    fetcher = Fetcher(FetchLimits())
    assert list(fetcher.objects("photos", "a b/")) == [("a b/1.jpg", 5, "7"), ("a b/2.jpg", 6, None)]
    assert list(fetcher.objects("none", "")) == []
    first = {
        "prefix": ["a b/"],
        "fields": ["items(name,size,generation),nextPageToken"],
        "maxResults": ["5000"],
    }
    assert [parse_qs(url.query) for url in asked[:2]] == [first, first | {"pageToken": ["more"]}]
    assert [url.path for url in asked] == [*["/storage/v1/b/photos/o"] * 2, "/storage/v1/b/none/o"]


@pytest.mark.parametrize("answer", [b"[]", b"{}", b'{"generation": 5}', b'{"generation": "\\ud800"}'])
def test_what_is_no_generation_is_no_version(monkeypatch, answer):
    assert answered(monkeypatch, answer).version(URI) is None


@pytest.mark.parametrize("answer", [b"<html>", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_json_costs_its_image_alone(monkeypatch, answer):
    with pytest.raises(FetchError, match="no JSON"):
        answered(monkeypatch, answer).version(URI)


def test_what_has_no_version(tmp_path):
    fetcher = Fetcher(FetchLimits())
    assert fetcher.version("https://example.org/one.jpg") is None
    for uri in (str(tmp_path / "none.jpg"), "file:///a%zz", "a\0b", "\ud800"):
        with pytest.raises(FetchError):
            fetcher.version(uri)
