"""What the code uses of Beam that Beam does not promise to keep: a newer Beam without it fails here, by name."""

import argparse
import inspect
import io

from apache_beam.io.gcp.gcsfilesystem import GCSFileSystem
from apache_beam.io.gcp.gcsio import BeamBlobReader, GcsIO
from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import data_plane, sdk_worker


def test_options_can_be_added_to_a_parser():
    """The command line and the template read Beam's options this way: a mistyped option is an error, no warning."""
    assert hasattr(PipelineOptions, "_add_argparse_args"), "terminal/arguments.py and cloud/template.py call it"
    parser = argparse.ArgumentParser(conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    assert {"--runner", "--temp_location"} <= {name for action in parser._actions for name in action.option_strings}


def test_a_process_has_counters_of_its_own():
    """`metrics` tells the progress from them while a bundle runs."""
    assert hasattr(Metrics, "DelegatingCounter"), "beam_job/metrics.py counts with it"
    assert hasattr(MetricsEnvironment, "process_wide_container"), "beam_job/metrics.py reads it"
    name = MetricName("test_beam_internals", "seen")
    Metrics.DelegatingCounter(name, process_wide=True).inc()
    counters = MetricsEnvironment.process_wide_container().get_cumulative().counters
    assert {key.metric.name: count for key, count in counters.items() if key.metric == name} == {"seen": 1}


def test_a_worker_prints_what_it_hands_over():
    """`worker` keeps it from printing and logging our own errors with their tracebacks."""
    code = inspect.getsource(sdk_worker.SdkHarness._execute)
    assert "print(traceback_string, file=sys.stderr)" in code
    assert "_LOGGER.error(" in code
    assert sdk_worker._LOGGER.name == sdk_worker.__name__


def test_what_a_worker_sends_is_collected_in_a_buffer():
    """`portions` decides when such a buffer is sent."""
    buffer = data_plane.SizeBasedBufferingClosableOutputStream
    assert "if self.size() > self._size_flush_threshold:" in inspect.getsource(buffer)
    assert callable(buffer.flush)
    assert type(data_plane.ClosableOutputStream.create(None, None, 0)) is buffer


def test_objects_are_deleted_in_batches():
    """`in_folder` deletes many objects with a request, with the credentials of Beam's own file system."""
    assert list(inspect.signature(GcsIO.delete_batch).parameters) == ["self", "paths"]
    assert "return gcsio.GcsIO(" in inspect.getsource(GCSFileSystem._gcsIO)


def test_objects_are_read_with_a_buffer_of_a_chosen_size():
    """`tables/write` reads the parts of tables in such pieces, through Python's own buffer."""
    assert "read_buffer_size" in inspect.signature(GcsIO.open).parameters
    assert issubclass(BeamBlobReader, io.IOBase)
