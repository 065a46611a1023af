"""What tests of exports share: Cloud Storage with a bucket for an archive."""

import pytest

from beam_job.export.xmp import places
from tests.storage import Storage


@pytest.fixture
def storage():
    places._bucket.cache_clear()
    with Storage() as storage:
        storage.bucket("archive")
        yield storage
    places._bucket.cache_clear()
