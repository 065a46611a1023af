"""A run that is to be killed: it writes its files but never ends, however late the kill comes."""

import time
from collections.abc import Iterable
from typing import Any, NoReturn

import apache_beam as beam

from beam_job.runs.shards import Shard


class Unending(beam.PTransform):
    """Stands in for ``MergeShards``: waits for ever once there is nothing left to write."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def expand(self, shards: beam.PCollection[Shard]) -> beam.PCollection[Shard]:
        return shards | "Together" >> beam.GroupBy(lambda _: 0) | "Wait" >> beam.FlatMap(_wait)


def _wait(_: tuple[int, Iterable[Shard]]) -> NoReturn:
    while True:
        time.sleep(1)
