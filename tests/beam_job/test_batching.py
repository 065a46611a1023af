"""URIs reach the workers in groups, and nothing about them changes on the way."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, Sessions, SlidingWindows, TimestampedValue

from beam_job.batching import ReshuffleInGroups, _Group

DIRECT = PipelineOptions(["--runner=FnApiRunner", "--direct_num_workers=1"])


class TimeAndWindow(beam.DoFn):
    def process(self, element, timestamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
        yield element, timestamp.micros, window.end.micros


def test_each_keeps_its_time_and_its_window():
    rows = [("gs://b/cat.jpg", None), ("gs://b/dog.jpg", {"id": 7})] + [(f"{n}.jpg", None) for n in range(5)]
    times = [0.5, 9.25, 10.0, 3.0, 25.0, 24.0, 8.0]
    with beam.Pipeline(options=DIRECT) as pipeline:
        found = (
            pipeline
            | beam.Create([TimestampedValue(row, time) for row, time in zip(rows, times, strict=True)])
            | beam.WindowInto(FixedWindows(10))
            | ReshuffleInGroups(2)
            | beam.ParDo(TimeAndWindow())
        )
        ends = [10, 10, 20, 10, 30, 30, 10]
        expected = [(row, int(time * 1e6), int(end * 1e6)) for row, time, end in zip(rows, times, ends, strict=True)]
        assert_that(found, equal_to(expected))


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (7, [3, 3, 1]), (6, [3, 3])])
def test_groups_are_as_large_as_a_batch(count, sizes):
    with beam.Pipeline(options=DIRECT) as pipeline:
        found = pipeline | beam.Create([range(count)]) | beam.FlatMap(list) | beam.ParDo(_Group(3)) | beam.Map(len)
        assert_that(found, equal_to(sizes))


@pytest.mark.parametrize("windows", [SlidingWindows(10, 5), Sessions(4)])
def test_windows_are_those_of_a_plain_reshuffle(windows):
    with beam.Pipeline(options=DIRECT) as pipeline:
        rows = [TimestampedValue((number % 2, number), number * 1.5) for number in range(5)]
        merged = (
            pipeline
            | beam.Create(rows)
            | beam.Map(lambda row: row).with_output_types(tuple[int, int])
            | beam.WindowInto(windows)
            | beam.GroupByKey()
        )
        plain = merged | "Plain" >> beam.Reshuffle() | "PlainWindows" >> beam.ParDo(TimeAndWindow())
        found = merged | ReshuffleInGroups(2) | "FoundWindows" >> beam.ParDo(TimeAndWindow())
        both = (
            (plain | beam.Map(lambda row: (repr(row), 1)), found | "Found" >> beam.Map(lambda row: (repr(row), -1)))
            | beam.Flatten()
            | "Everything" >> beam.WindowInto(beam.window.GlobalWindows())
            | beam.CombinePerKey(sum)
            | beam.Filter(lambda difference: difference[1] != 0)
        )
        assert_that(both, equal_to([]))
