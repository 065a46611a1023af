"""What tests of Dataflow share: a bucket, and the service that takes jobs."""

import subprocess
from functools import cache
from types import SimpleNamespace
from unittest import mock

import pytest
from apache_beam.runners.portability import stager

from tests.cloud import BUCKET, dataflow_service, storage_emulator
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A bucket that holds a model and a list of URIs."""
    model = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_model(model)
    with storage_emulator() as client:
        bucket = client.bucket(BUCKET)
        for path in model.rglob("*"):
            if path.is_file():
                bucket.blob(f"models/tiny/{path.relative_to(model)}").upload_from_filename(path)
        bucket.blob("list.txt").upload_from_string("gs://bucket/cat.jpg\n")
        yield bucket


@pytest.fixture
def service():
    with dataflow_service() as service:
        yield service


@pytest.fixture(scope="module", autouse=True)
def installed_listed_once():
    """Beam runs ``pip freeze`` for each job, which takes a second; here it runs for the first alone."""
    first = cache(lambda *command: subprocess.check_output(command))
    with mock.patch.object(stager, "subprocess", SimpleNamespace(check_output=lambda command: first(*command))):
        yield
