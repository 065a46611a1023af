"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# The same examples each time, however long they take: no test fails by chance, or where the machine is busy.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")
