"""Settings of all tests, and what tests of several rooms share."""

import gc

import pytest
from hypothesis import HealthCheck, settings

from tests.script_shell import Shell
from tests.warm_python import warm_python

# The same examples each time, however long they take: no test fails by chance, or where the machine is busy.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def pytest_collection_finish():
    """What has been imported stays; collecting garbage, which tests ask for, too, need not go through it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def python():
    """A Python whose commands need not import Beam."""
    with warm_python() as program:
        yield program


@pytest.fixture(scope="session")
def python_with_tensorflow():
    """As ``python``, for commands that caption."""
    with warm_python("tensorflow") as program:
        yield program
