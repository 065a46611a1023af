"""Distributes URIs over the workers in groups of one batch.

Runners split their work into bundles between elements, and a batch ends with its bundle. If bundles are small (those of
a streaming job on Flink last a second), groups still keep batches full, and only URIs are shuffled, not pixels. At most
as many workers as groups are busy.
"""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue


class ReshuffleInGroups(beam.PTransform):
    """Distributes elements over the workers in groups of ``size``; each keeps its timestamp and its window.

    The last group of a bundle is smaller.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        return (
            elements
            | "Group" >> beam.ParDo(_Group(self._size)).with_output_types(Any)
            | beam.Reshuffle()
            | "Ungroup" >> beam.ParDo(_ungroup).with_output_types(Any)
        )


class _Group(beam.DoFn):
    """Elements to lists of them, each with its time in microseconds; a list's time is its earliest."""

    def __init__(self, size: int) -> None:
        self._size = size

    def start_bundle(self) -> None:
        self._groups: dict[Any, list[tuple[Any, int]]] = {}

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[WindowedValue]:
        group = self._groups.setdefault(window, [])
        group.append((element, timestamp.micros))
        if len(group) == self._size:
            yield _whole(self._groups.pop(window), window)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for window, group in self._groups.items():
            yield _whole(group, window)


def _whole(group: list[tuple[Any, int]], window: Any) -> WindowedValue:
    return WindowedValue(group, Timestamp(micros=min(micros for _, micros in group)), (window,))


def _ungroup(group: list[tuple[Any, int]], window: Any = beam.DoFn.WindowParam) -> Iterator[WindowedValue]:
    for element, micros in group:
        yield WindowedValue(element, Timestamp(micros=micros), (window,))
