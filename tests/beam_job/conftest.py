"""What tests of the job share."""

import pytest

from tests.beam_lookups import looked_up_once


@pytest.fixture(scope="session", autouse=True)
def _looked_up_once():
    """Hundreds of small runs take half the CPU."""
    with looked_up_once():
        yield
