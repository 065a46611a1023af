"""Google credentials when fetching: none, broken ones, tokens that are not to be had just now, and refused ones."""

import io
import itertools

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError, TransportError
from urllib3 import HTTPResponse

from beam_job.images.download import Downloader, FetchError, FetchStats
from beam_job.images.fetch import CredentialsError, Fetcher, FetchLimits

DATA = b"a photo"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("beam_job.images.download._FIRST_WAIT", 0.02)


@pytest.fixture
def no_emulator(monkeypatch, tmp_path):
    """Google's own addresses, which no test reaches, and nothing in this machine's folders."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setattr("google.auth.compute_engine._metadata.is_on_gce", lambda request: False)


class Answers(requests.Session):
    """A session that answers each request with a status, or raises; then the last one again."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)

    def get(self, *_, **__):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code = answer
        response.raw = HTTPResponse(io.BytesIO(DATA), preload_content=False)
        return response


def test_without_credentials_a_refusal_says_so(no_emulator, monkeypatch):
    monkeypatch.setattr("beam_job.images.fetch.anonymous_session", lambda: Answers(401))
    fetcher = Fetcher(FetchLimits())
    for _ in range(2):
        with pytest.raises(FetchError, match=r"\(HTTP 401\)\. No Google credentials were found") as raised:
            fetcher.fetch("gs://photos/one.jpg")
        assert raised.value.code == "permission_denied"


CONTENTS = [b"{", b'{"type": "service_account"}', b"\xff\xfe", b"[]", b"1"]


@pytest.mark.parametrize(("content", "named"), [(None, True), *itertools.product(CONTENTS, [True, False])])
def test_credentials_that_do_not_work_fail_the_job(no_emulator, monkeypatch, tmp_path, content, named):
    file = tmp_path / "application_default_credentials.json"
    if content is not None:
        file.write_bytes(content)
    if named:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    fetcher = Fetcher(FetchLimits())
    for _ in range(2):  # not only the first one
        with pytest.raises(CredentialsError, match=r"do not work \(.*\); correct GOOGLE_APPLICATION_CREDENTIALS"):
            fetcher.fetch("gs://photos/one.jpg")


def refreshed(cause=None, retryable=False):
    error = RefreshError("no token", retryable=retryable)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("error", [refreshed(TransportError("no metadata")), refreshed(retryable=True)])
def test_a_token_that_is_not_to_be_had_just_now_is_asked_for_again(error):
    stats = FetchStats()
    found = Downloader(Answers(error, error, 200), 1).get("https://x", max_bytes=10**6, seconds=9, stats=stats)
    assert (found, stats.retries) == (DATA, 2)


def test_a_token_that_is_refused_is_not_asked_for_again():
    with pytest.raises(FetchError, match="credentials do not work") as raised:
        Downloader(Answers(refreshed(), 200), 1).get("https://x", max_bytes=10**6, seconds=9, stats=FetchStats())
    assert raised.value.code == "permission_denied"


def test_storage_is_only_ever_read(no_emulator, monkeypatch):
    """The scopes that are asked for: whoever gets hold of the token can change nothing."""
    asked = []
    monkeypatch.setattr("google.auth.default", lambda scopes: asked.append(scopes) or (AnonymousCredentials(), None))
    monkeypatch.setattr("beam_job.images.fetch.AuthorizedSession", lambda credentials: Answers(200))
    assert Fetcher(FetchLimits()).fetch("gs://photos/one.jpg") == DATA
    assert asked == [["https://www.googleapis.com/auth/devstorage.read_only"]]
