"""Exports on Cloud Storage: tables in a bucket, and what the service refuses."""

import json

import pytest
from apache_beam.io.gcp.gcsio import BeamBlobReader
from apache_beam.portability.api import beam_runner_api_pb2
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

from beam_job.export.command import main
from beam_job.export.tables.published import TableError, TablePlace
from beam_job.export.tables.write import merge
from beam_job.export.xmp import places
from beam_job.export.xmp.places import CloudStorage, PlaceError, place_of
from beam_job.export.xmp.write import Sidecars, _InThreads, _Wanted, _write
from beam_job.images.fetch import CredentialsError
from tests.beam_job.export.archive import run_of
from tests.cloud import BUCKET, dataflow_service, storage_emulator


def export(folder, *options):
    assert main([folder, "--runner", "DirectRunner", *options]) == 0


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_in_a_bucket(storage, kind, tmp_path, capsys):
    captions = run_of(tmp_path / "captions", [f"gs://archive/{number}.jpg" for number in range(30)])
    for path in captions.rglob("*"):
        if path.is_file() and path.stat().st_size:
            storage.put("archive", f"out/{path.relative_to(captions)}", path.read_bytes())
    export("gs://archive/out", "--to", kind)
    assert "30 captions: 30 written" in capsys.readouterr().err
    data = place_of("gs://archive/x").read(f"gs://archive/out/captions.{kind}").data
    export(str(captions), "--to", kind)
    assert (captions / f"captions.{kind}").read_bytes() == data, "the same captions, the same bytes"
    export("gs://archive/out", "--to", kind)
    assert "30 unchanged" in capsys.readouterr().err


@pytest.mark.parametrize("status", [401, 403])
def test_a_table_that_the_account_may_not_read_is_refused(storage, status, tmp_path, capsys):
    storage.put("archive", "a.csv", b"mine")
    storage.faults["a.csv"] = [status] * 9
    captions = run_of(tmp_path / "captions", ["gs://archive/a.jpg"])
    assert main([str(captions), "--to", "csv", "--output", "gs://archive/a.csv"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("beam_job.export: gs://archive/a.csv: cannot be read (")
    assert said.count("\n") == 1


def test_a_table_that_the_account_may_not_write_is_said(storage, tmp_path):
    storage.refused = "a.csv"
    (tmp_path / "table.csv").write_text("ours")
    place = TablePlace("gs://archive/a.csv", str(tmp_path))
    place.check()
    with pytest.raises(TableError, match=r"gs://archive/a.csv: cannot be written \(.*403.*\)\. Check this account's"):
        place.publish(str(tmp_path / "table.csv"), [])


def test_parts_in_a_bucket_are_read_in_large_pieces(storage, monkeypatch):
    """Bytes that are asked for, and that are fetched then at least."""
    asked = []
    read = BeamBlobReader.read

    def counted(file, size):
        asked.append((size, file._chunk_size))
        return read(file, size)

    monkeypatch.setattr(BeamBlobReader, "read", counted)
    records = [{"uri": f"{number:05}", "caption": "A dog. " * 10} for number in range(20_000)]
    for part in range(2):
        lines = "".join(json.dumps(record) + "\n" for record in records[part::2])
        storage.put("archive", f"part-{part}.jsonl", lines.encode())
    assert list(merge(["gs://archive/part-0.jsonl", "gs://archive/part-1.jsonl"])) == records
    assert asked == [(1 << 20, 1 << 20)] * 4, "of each part all that it holds, and its end"


class Recorded:
    """A client whose objects remember what they were asked."""

    def __init__(self):
        self.asked = []

    def bucket(self, name):
        self.name = name
        return self

    def blob(self, name):
        self.asked.append((self.name, name))
        return self

    def upload_from_string(self, data, content_type, if_generation_match):
        self.asked.append((data, content_type, if_generation_match))

    def delete(self, if_generation_match):
        self.asked.append(if_generation_match)


def test_an_object_is_replaced_only_where_it_is_the_one_that_was_read():
    client = Recorded()
    place = CloudStorage(client)
    place.write("gs://archive/a/b.xmp", b"new", None)
    place.write("gs://archive/a/b.xmp", b"new", places.Found(b"old", 17))
    place.delete("gs://archive/a/b.xmp", places.Found(b"old", 18))
    name = ("archive", "a/b.xmp")
    kind = "application/rdf+xml"
    assert client.asked == [name, (b"new", kind, 0), name, (b"new", kind, 17), name, 18]


@pytest.mark.parametrize(
    ("status", "code"), [(412, "changed_meanwhile"), (403, "permission_denied"), (404, "cannot_access")]
)
def test_refusals_of_cloud_storage(status, code):
    class Refusing(Recorded):
        def upload_from_string(self, *_, **__):
            raise places.exceptions.from_http_status(status, "no")

    with pytest.raises(PlaceError) as caught:
        CloudStorage(Refusing()).write("gs://archive/a.xmp", b"new", None)
    assert caught.value.code == code


PHOTOS = [(f"gs://archive/{name}.jpg.xmp", [_Wanted("", f"gs://archive/{name}.jpg", None)]) for name in "abc"]


def outcomes(batch):
    write = _InThreads(_write, Sidecars())
    write.setup()
    return list(write.process(batch))


@pytest.fixture
def no_credentials(monkeypatch):
    """A computer without Google credentials; the times that they were looked for."""
    asked = []

    def default(**_):
        asked.append(1)
        raise DefaultCredentialsError("Your default credentials were not found.")

    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr("google.auth.default", default)
    places._bucket.cache_clear()
    yield asked
    places._bucket.cache_clear()


def test_without_credentials_the_export_ends_and_they_are_looked_for_once(no_credentials):
    for _ in range(2):
        with pytest.raises(CredentialsError, match=r"\(Your default .*\); correct GOOGLE_APPLICATION_CRED"):
            outcomes(PHOTOS)
    assert len(no_credentials) == 1


def refreshed(cause=None, retryable=False):
    error = RefreshError("invalid_grant: Bad Request", {"error": "invalid_grant"}, retryable=retryable)
    error.__cause__ = cause
    return error


@pytest.fixture
def failing(monkeypatch):
    """A function that makes Cloud Storage raise an error."""

    class Failing:
        def bucket(self, _):
            raise self.error

    client = Failing()
    monkeypatch.setattr(places, "_bucket", lambda: CloudStorage(client))
    return lambda error: setattr(client, "error", error)


def test_credentials_that_have_expired_end_the_export(failing):
    failing(refreshed())
    with pytest.raises(CredentialsError, match=r"\(invalid_grant: Bad Request\); correct"):
        outcomes(PHOTOS)


@pytest.mark.parametrize(
    "error", [TransportError("no metadata"), refreshed(TransportError("no metadata")), refreshed(retryable=True)]
)
def test_credentials_that_are_not_to_be_had_just_now_fail_photos_alone(error, failing):
    failing(error)
    assert [outcome.code for outcome in outcomes(PHOTOS)] == ["unavailable"] * 3


@pytest.mark.parametrize(("kind", "step"), [("xmp", "WriteSidecars"), ("csv", "WriteTable")])
def test_an_export_as_dataflow_receives_it(kind, step, tmp_path, capsys):
    captions = run_of(tmp_path / "captions", ["gs://bucket/a.jpg"])
    with storage_emulator() as client, dataflow_service() as service:
        bucket = client.bucket(BUCKET)
        for path in captions.rglob("*.json*"):
            bucket.blob(f"captions/{path.relative_to(captions)}").upload_from_filename(path)
        arguments = ["--runner=DataflowRunner", "--project=project", "--region=europe-west4", "--no_auth"]
        arguments += ["--temp_location=gs://bucket/temp", "--staging_location=gs://bucket/staging"]
        arguments += ["--sdk_container_image=image", f"--dataflow_endpoint={service.url}"]
        assert main(["gs://bucket/captions", "--to", kind, *arguments]) == 0
        out, err = capsys.readouterr()
        assert out == "2026-01-01_00_00_00-1\n"
        assert "Submitted. Its manifest goes to gs://bucket/captions/exports/" in err
        (job,) = service.jobs
        url = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
        submitted = bucket.blob(url.removeprefix(f"gs://{BUCKET}/")).download_as_bytes()
    steps = beam_runner_api_pb2.Pipeline.FromString(submitted).components.transforms.values()
    assert step in {found.unique_name for found in steps}
