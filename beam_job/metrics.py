"""The job's own Beam metrics: counters and distributions in one namespace, listed in docs/operations.md."""

from apache_beam.metrics import Metrics

from beam_job.records import Failure

METRICS = "CaptionImages"
"""The namespace."""


def count_failure(failure: Failure) -> None:
    """Counts a failure under its stage and code."""
    Metrics.counter(METRICS, f"failed_{failure.stage}_{failure.error}").inc()
