"""Files as they are where a runner's bundles are small: each is closed after a number of records."""

from collections.abc import Iterator
from typing import Any

from beam_job.runs.shards import Shard, ShardLimits, WriteShards


class SmallBundles(WriteShards):
    """``WriteShards`` in which a bundle ends after ``bundle`` records, whatever the runner's own bundles are."""

    def __init__(self, bundle: int, directory: str, prefix: str, limits: ShardLimits = ShardLimits()) -> None:
        super().__init__(directory, prefix, limits)
        self._bundle = bundle
        self._records = 0

    def start_bundle(self) -> None:
        super().start_bundle()
        self._records = 0

    def process(self, record: Any) -> Iterator[Shard]:
        yield from super().process(record)
        self._records += 1
        if self._records == self._bundle:
            yield from (ended.value for ended in self.finish_bundle())
            self.start_bundle()
