"""Estimates workers, hours and cost for a number of images, from your own measurements.

python -m beam_job.plan --images 5000000 --images_per_second 150 --deadline_hours 4 --worker_price 0.75
python -m beam_job.plan --images 5000000 --run captions --measured_workers 2 --workers 20
"""

import argparse
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from beam_job.files.document import UnreadableError
from beam_job.images.local_path import local_path
from beam_job.messages.quantity import quantity
from beam_job.messages.quoting import shown
from beam_job.runs.folder import RunFolder, open_run_folder, run_folders
from beam_job.runs.manifest import MANIFEST
from beam_job.terminal import streams
from beam_job.terminal.streams import escaped, say, show


class PlanError(ValueError):
    """Invalid numbers for a plan; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Plan:
    """An estimate.

    Attributes:
      workers: number of machines that work at the same time.
      hours: from the start of the job to its end, including the start of the workers.
      worker_hours: the billed time.
      cost: in the currency of the price; ``None`` without a price.
    """

    workers: int
    hours: float
    worker_hours: float
    cost: float | None


def plan(
    images: int,
    images_per_second: float,
    *,
    workers: int = 0,
    deadline_hours: float = 0.0,
    startup_minutes: float = 10.0,
    efficiency: float = 0.85,
    worker_price: float | None = None,
) -> Plan:
    """Plans a run: give either the workers or the deadline.

    Args:
      images: number of images to caption.
      images_per_second: speed of one busy worker, as measured.
      workers: number of machines; the plan gives the hours.
      deadline_hours: time limit; the plan gives the number of machines.
      startup_minutes: time until a worker captions its first image: machine, image, driver and model. It is billed.
      efficiency: share of their speed that several workers reach together, as they neither start nor end at the same
        time; a single worker reaches its full speed.
      worker_price: price of one worker per hour, everything included: machine, GPU and disk.

    Raises:
      PlanError: the numbers are invalid.
    """
    for name, value in (("images", images), ("images_per_second", images_per_second), ("efficiency", efficiency)):
        if not 0 < value < math.inf:
            raise PlanError(f"--{name} {value}: choose a number above 0.")
    if efficiency > 1:
        raise PlanError(f"--efficiency {efficiency}: choose a share of at most 1.")
    times = ("deadline_hours", deadline_hours), ("startup_minutes", startup_minutes)
    for name, value in (*times, ("worker_price", worker_price or 0)):
        if not 0 <= value < math.inf:
            raise PlanError(f"--{name} {value}: choose 0 or more.")
    if (workers > 0) == (deadline_hours > 0):
        raise PlanError("Give either --workers or --deadline_hours, above 0.")
    alone = images / images_per_second / 3600  # hours of work for one worker
    together = alone / efficiency
    startup_hours = startup_minutes / 60
    if deadline_hours:
        if deadline_hours <= startup_hours:
            raise PlanError(
                f"--deadline_hours {deadline_hours:g}: workers take {startup_minutes:g} minutes to start; allow more."
            )
        left = deadline_hours - startup_hours
        workers = 1 if alone <= left else max(2, math.ceil(together / left))
    hours = startup_hours + (alone if workers == 1 else together / workers)
    worker_hours = hours * workers
    return Plan(workers, hours, worker_hours, None if worker_price is None else worker_hours * worker_price)


def measured(run: str, workers: int) -> float:
    """Images per second of one worker in a finished run, including start-up, to be on the safe side.

    ``run`` is the run's folder, or an output folder, whose run with the most captions is used.

    Raises:
      PlanError: there is no such run, it is not finished, or it captioned nothing.
    """
    folder = local_path(run.removesuffix("/").removesuffix(f"/{MANIFEST}"))
    try:
        found = _largest(folder) or open_run_folder(folder, linked=True)
    except Exception as error:  # file systems raise what they like
        reason = str(error).rstrip(".")
        raise PlanError(
            f"--run {shown(run)}: there is no run ({reason}); name a run=<id> folder, or the output folder of runs."
        ) from error
    if not found.finished:
        reason = " ".join(found.problems) or f"there is no {MANIFEST}."
        raise PlanError(f"--run {shown(run)}: there is no finished run: {reason}")
    captioned, seconds = found.about["counts"].get("captioned", 0), found.about.get("seconds", 0)
    if not (captioned > 0 and seconds > 0):
        raise PlanError(f"--run {shown(run)}: it captioned nothing; take a run of at least some thousand images.")
    return float(captioned / seconds / workers)


def _largest(output: str) -> RunFolder | None:
    """The finished run with the most captions; ``None`` where the folder holds no finished run."""
    finished = []
    for folder in run_folders(output):
        with suppress(UnreadableError):  # other programs may leave anything there
            found = open_run_folder(folder)
            if found.finished:
                finished.append(found)
    return max(finished, key=lambda found: found.about["counts"].get("captioned", 0), default=None)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise PlanError(f"{message}. See --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a plan; returns 0, or 2 if the numbers are invalid."""
    parser = _Parser(prog="python -m beam_job.plan", description="Estimates workers, hours and cost of a run.")
    parser.add_argument("--images", type=int, required=True, help="images to caption")
    parser.add_argument("--images_per_second", type=float, help="images per second of one worker, as measured")
    parser.add_argument(
        "--run",
        metavar="DIR",
        help="take the speed from this finished run instead: a run's folder, or an output folder, for its largest run",
    )
    parser.add_argument("--measured_workers", type=int, default=1, help="workers of that run (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="number of workers; the plan gives the hours")
    parser.add_argument(
        "--deadline_hours", type=float, default=0.0, help="time limit; the plan gives the number of workers"
    )
    parser.add_argument(
        "--startup_minutes", type=float, default=10.0, help="time until a worker is ready (default: %(default)s)"
    )
    parser.add_argument(
        "--efficiency",
        type=float,
        default=0.85,
        help="share of their speed that several workers reach together (default: %(default)s)",
    )
    parser.add_argument("--worker_price", type=float, help="price of one worker per hour: machine, GPU and disk")
    parser.add_argument("--currency", default="USD", help="currency of the price (default: %(default)s)")
    try:
        options = parser.parse_args(argv)
        rate = options.images_per_second
        if (rate is None) == (options.run is None):
            raise PlanError("Give either --images_per_second or --run.")
        if options.run:
            if options.measured_workers < 1:
                raise PlanError(f"--measured_workers {options.measured_workers}: choose 1 or more.")
            rate = measured(options.run, options.measured_workers)
        found = plan(
            options.images,
            rate,
            workers=options.workers,
            deadline_hours=options.deadline_hours,
            startup_minutes=options.startup_minutes,
            efficiency=options.efficiency,
            worker_price=options.worker_price,
        )
    except ValueError as error:
        say(f"beam_job.plan: {escaped(str(error))}")
        return 2
    together = f" and {options.efficiency:.0%} efficiency" if found.workers > 1 else ""
    show(f"Estimate for {quantity(options.images, 'image')} at {rate:,.1f} images/s per worker{together}:")
    show(f"  workers       {found.workers:,}")
    show(f"  hours         {found.hours:,.2f}")
    show(f"  worker hours  {found.worker_hours:,.1f}")
    if found.cost is not None:
        each = found.cost / options.images * 1e6
        show(f"  cost          {found.cost:,.2f} {options.currency}, {each:,.2f} per million images")
    show(
        "The estimate uses your prices and speeds; network, storage and requests cost extra. Measure the speed with "
        "some thousand images first."
    )
    return 0


if __name__ == "__main__":
    streams.run(main)
