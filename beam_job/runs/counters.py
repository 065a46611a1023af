"""Counts the images that this process has handled, for progress during the run.

Beam's own metrics of a local run can be read only after its end. These counters belong to the process, not to a bundle.
"""

from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

TO_CAPTION, CAPTIONS, FAILURES = "to_caption", "captions", "failures"
_NAMESPACE = "Progress"


def count(what: str) -> None:
    """Counts one image; called where the work is done."""
    Metrics.DelegatingCounter(MetricName(_NAMESPACE, what), process_wide=True).inc()


def counted() -> dict[str, int]:
    """The counts since the process started, by name."""
    counters = MetricsEnvironment.process_wide_container().get_cumulative().counters
    return {key.metric.name: value for key, value in counters.items() if key.metric.namespace == _NAMESPACE}
