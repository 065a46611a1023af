"""The job's own Beam metrics: counters and distributions in one namespace, listed in docs/operations.md.

Beam's metrics of a local run can be read only after its end. For progress during the run there are counters of images
that belong to the process, not to a bundle.
"""

from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

from beam_job.records import Failure

METRICS = "CaptionImages"
"""The namespace."""

TO_CAPTION, CAPTIONS, FAILURES = "to_caption", "captions", "failures"
"""What is counted for progress."""

_PROGRESS = "Progress"


def count_failure(failure: Failure) -> None:
    """Counts a failure under its stage and code."""
    Metrics.counter(METRICS, f"failed_{failure.stage}_{failure.error}").inc()


def count(what: str) -> None:
    """Counts one image for progress; called where the work is done."""
    Metrics.DelegatingCounter(MetricName(_PROGRESS, what), process_wide=True).inc()


def counted() -> dict[str, int]:
    """The counts for progress since the process started, by name."""
    counters = MetricsEnvironment.process_wide_container().get_cumulative().counters
    return {key.metric.name: value for key, value in counters.items() if key.metric.namespace == _PROGRESS}
