"""What runs in a process of its own, to be observed: the job with an idle model, or one of its steps.

    python -m benchmarks.archive.job caption SECONDS_PER_IMAGE BUNDLE UNENDING <options of the job>
    python -m benchmarks.archive.job list <options of Beam> GLOB ...
    python -m benchmarks.archive.job manifest FOLDER SHARDS RECORDS_PER_SHARD

Prints what the process itself used, as JSON, in its last line.
"""

import hashlib
import json
import os
import re
import resource
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import apache_beam as beam
from apache_beam.internal.gcp import auth
from apache_beam.options.pipeline_options import PipelineOptions

from beam_job.cli import main as run_job
from beam_job.listing.uris import ReadUris
from beam_job.pipeline import write_manifest
from beam_job.runs.run import Run
from beam_job.runs.shards import Shard, ShardLimits
from benchmarks.archive.stand_ins.idle_model import IdleHandler
from benchmarks.archive.stand_ins.small_bundles import SmallBundles
from benchmarks.archive.stand_ins.unending import Unending

_FULL = ShardLimits().records
CAPTION, LIST, MANIFEST = "caption", "list", "manifest"


def main() -> None:
    """Runs what the arguments name."""
    kind, *argv = sys.argv[1:]
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        auth._Credentials._credentials_init = True  # noqa: SLF001 # Beam would look for credentials for 20 s
    if kind == CAPTION:
        status = caption(float(argv[0]), int(argv[1]), argv[3:], unending=bool(int(argv[2])))
    elif kind == LIST:
        status = _list(argv)
    else:
        status = _write_manifest(argv[0], int(argv[1]), int(argv[2]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = Path("/proc/self/io").read_text()
    (read,) = re.findall(r"rchar: (\d+)", told)
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024, "read": int(read)}))
    sys.exit(status)


def caption(seconds: float, bundle: int, argv: list[str], *, unending: bool = False) -> int:
    """Runs the job with an idle model; returns its exit status.

    Args:
      seconds: that the model takes for an image.
      bundle: records in a bundle; 0: as the runner makes them.
      argv: options of the job.
      unending: once its files are written, the run waits until it is killed.
    """

    def idle(*arguments: Any, **options: Any) -> IdleHandler:
        return IdleHandler(seconds, *arguments, **options)

    def small(*arguments: Any) -> SmallBundles:
        return SmallBundles(bundle, *arguments)

    with ExitStack() as patches:
        patches.enter_context(mock.patch("beam_job.pipeline.CaptionHandler", idle))
        if bundle:
            patches.enter_context(mock.patch("beam_job.pipeline.WriteShards", small))
        if unending:
            patches.enter_context(mock.patch("beam_job.pipeline.MergeShards", Unending))
        return run_job(argv)


def _list(argv: list[str]) -> int:
    globs = [argument for argument in argv if not argument.startswith("--")]
    options = PipelineOptions([argument for argument in argv if argument.startswith("--")])
    with beam.Pipeline(options=options) as pipeline:
        listed = pipeline | ReadUris(globs, [])
        listed.read | beam.CombineGlobally(sum) | beam.Map(lambda count: print(f"{count:,} listed", file=sys.stderr))
    return 0


def _write_manifest(folder: str, shards: int, records: int) -> int:
    run = Run(folder, "0" * 64, {"decoding": {}})
    run.start()
    with beam.Pipeline(options=PipelineOptions(["--runner=DirectRunner"])) as pipeline:
        nothing = pipeline | "Nothing" >> beam.Create([0])
        named = pipeline | "Shards" >> beam.Create([shards]) | beam.FlatMap(_shards, records, run.directory)
        none = nothing | beam.Filter(bool)
        read = pipeline | "Read" >> beam.Create([shards * records])
        write_manifest(pipeline, run, read, none, none, named, none)
    return 0


def _shards(number: int, records: int, directory: str) -> Iterator[Shard]:
    """Those of large files, which are not there, because none is read; small ones are written."""
    data = b"".join(b'{"uri": "/photos/%08d.jpg", "caption": "A dog."}\n' % line for line in range(records % _FULL))
    digest = hashlib.sha256(data).hexdigest()
    for _ in range(number):
        name = f"captions-{uuid.uuid4().hex}.jsonl"
        if data:
            Path(directory, name).write_bytes(data)
        yield Shard(name, records, digest, {"CPU": records})


if __name__ == "__main__":
    main()
