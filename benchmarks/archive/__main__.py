"""Runs the job over a simulated archive and prints what it takes; writes ``NAME.json`` and ``NAME.html`` for each part.

python -m benchmarks.archive run --images 1000 10000 --output /tmp/scale        # one run over each size
python -m benchmarks.archive nights --images 10000 --where bucket --output /tmp/scale
python -m benchmarks.archive bundles --images 10000 --bundle 20 --output /tmp/scale
python -m benchmarks.archive manifest --images 1000 10000 --output /tmp/scale   # numbers of files
python -m benchmarks.archive run --engine flink --workers 2 --output /tmp/scale -- --shard_records=1000

Options of the job follow two dashes. CPU time is that of all processes together; memory is that of each.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from beam_job.messages.share import parse_share
from benchmarks.archive.engine import DIRECT, ENGINES
from benchmarks.archive.experiment import Row, Scale
from benchmarks.archive.observed import ENGINE, JOB, WORKER
from benchmarks.archive.parts import PARTS
from benchmarks.archive.simulated.photos import Faults
from benchmarks.archive.simulated.place import BUCKET, DISK
from benchmarks.figures.facts import facts
from benchmarks.figures.measurement import Measurement
from benchmarks.figures.page import page


def main(argv: Sequence[str] | None = None) -> None:
    """Measures one part."""
    argv = sys.argv[1:] if argv is None else list(argv)
    mine, job = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = _parser()
    options = parser.parse_args(mine)
    _check_kills(parser, options)
    options.output.mkdir(parents=True, exist_ok=True)
    machine = {**facts(), "command": f"python -m benchmarks.archive {' '.join(argv)}"}
    rows: list[Row] = []
    scale = Scale(
        options.images,
        options.where,
        Faults(*map(parse_share, (options.broken, options.missing, options.unavailable))),
        options.seconds_per_image,
        options.bundle,
        options.kills,
        options.kill,
        options.nights,
        engine=options.engine,
        workers=options.workers,
        options=job,
    )
    for row in PARTS[options.part](scale):
        print(row, flush=True)
        rows.append(row)
        found = {"facts": machine, "rows": [vars(each) for each in rows]}
        (options.output / f"{options.part}.json").write_text(json.dumps(found, indent=1) + "\n")
        (options.output / f"{options.part}.html").write_text(page(measurements(rows), machine))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.archive", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--output", type=Path, required=True, help="Folder for the figures.")
    parser.add_argument("--images", type=int, nargs="+", default=[1000], help="Sizes; each in turn.")
    parser.add_argument("--where", choices=(DISK, BUCKET), default=DISK)
    parser.add_argument("--broken", default="1%", help="Share of photos that are cut off.")
    parser.add_argument("--missing", default="1%", help="Share of photos that are listed but not there.")
    parser.add_argument("--unavailable", default="5%", help="Share that a bucket answers with 503 once.")
    parser.add_argument("--seconds_per_image", type=float, default=0.0, help="That the model takes.")
    parser.add_argument("--bundle", type=int, default=0, help="Records in a bundle; 0: as the runner makes them.")
    parser.add_argument("--kills", type=int, default=0, help="Kills of a run; it is started again after each.")
    parser.add_argument(
        "--kill",
        choices=(JOB, WORKER, ENGINE),
        nargs="+",
        default=[JOB],
        help="What is killed, in turns: the job with all processes of its engine, one worker process, or the engine's.",
    )
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--engine", choices=ENGINES, default=DIRECT, help="Prism and Flink are fetched first.")
    parser.add_argument("--workers", type=int, default=1, help="Processes that share the work.")
    return parser


def _check_kills(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuses to wait for ever for what is to be killed."""
    if options.engine == DIRECT and ENGINE in options.kill:
        parser.error(f"--kill {ENGINE}: --engine {DIRECT} has no process of its own; choose another engine or kill")
    if options.engine == DIRECT and options.workers < 2 and WORKER in options.kill:
        parser.error(
            f"--kill {WORKER}: with --engine {DIRECT} and --workers {options.workers} the job itself does the work; "
            "add --workers 2 or choose another engine or kill"
        )
    if options.kills and options.where != DISK:
        parser.error(f"--kills {options.kills}: captions are counted on a disk only; drop --where {options.where}")


def measurements(rows: Sequence[Row]) -> list[Measurement]:
    """What a page shows of rows: CPU time, clock time and memory, each in a plot of its own."""
    found = []
    for group, unit, figure in (("CPU time", "s", "cpu_seconds"), ("Time", "s", "wall_seconds")):
        found += [Measurement(group, row.name, unit, [row.figures[figure]]) for row in rows if figure in row.figures]
    for row in rows:
        for role, used in row.figures.get("processes", {}).items():
            found.append(Measurement("Memory", f"{row.name}: {role}", "MiB", [used["peak_mebibytes"]]))
    return found


if __name__ == "__main__":
    main()
