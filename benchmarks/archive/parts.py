"""The parts of this benchmark: each yields a row of figures for each process that it observed."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from beam_job.runs.shards import ShardLimits
from benchmarks.archive.books import captioned
from benchmarks.archive.experiment import Experiment, Row, Scale, experiment
from benchmarks.archive.shuffled import bytes_for_each
from benchmarks.archive.simulated.photos import BROKEN, MISSING, expected

_FEW = 10  # records in a small file


def run(scale: Scale) -> Iterator[Row]:
    """One run over each size of archive, from a list; killed meanwhile as often as ``scale.kills`` says."""
    for count in scale.images:
        with experiment("run", scale) as made:
            made.archive.resize(count)
            argv = made.listed(count)
            faults = expected(count, scale.faults)
            good = count - faults[BROKEN] - faults[MISSING]
            for kill in range(1, scale.kills + 1):
                wanted = max(kill * good // (scale.kills + 1), 1)
                what = scale.kill[(kill - 1) % len(scale.kill)]
                yield _counted(made, made.caption(f"{count:,} images, kill {kill}", count, argv, wanted, what))
            yield _counted(made, made.caption(f"{count:,} images", count, argv))


def _counted(made: Experiment, row: Row) -> Row:
    return replace(row, figures={**row.figures, "captioned": captioned(made.archive.output)})


def bundles(scale: Scale) -> Iterator[Row]:
    """One run over each size of archive, and the next night, with nothing new: what its files cost their readers."""
    for count in scale.images:
        with experiment("bundles", scale) as made:
            made.archive.resize(count)
            argv = made.listed(count)
            name = f"{count:,} images" + (f", bundles of {scale.bundle:,}" if scale.bundle else "")
            yield made.caption(name, count, argv)
            yield made.caption(f"{name}, the next night", count, argv)


def nights(scale: Scale) -> Iterator[Row]:
    """Each size of archive as it grows, night by night, and a last night with nothing new.

    Before these the same over a single photo: what a night costs before it has looked at anything.
    """
    for most in (1, *scale.images):
        with experiment("nights", scale) as made:
            sizes = [round(most / (1 + scale.growth) ** night) for night in range(scale.nights)][::-1]
            for night, size in enumerate(sizes if most > 1 else [1], 1):
                made.archive.resize(size)
                yield made.caption(f"{most:,} images, night {night}", size, ["--images", f"{made.archive.root}/**.jpg"])
            argv = ["--images", f"{made.archive.root}/**.jpg"]
            yield made.caption(f"{most:,} images, a night with nothing new", most, argv)


def listing(scale: Scale) -> Iterator[Row]:
    """Listing each size of archive by one glob, and by ten that share it and that workers can divide."""
    for count in scale.images:
        with experiment("listing", scale) as made:
            made.archive.resize(count)
            root = made.archive.root
            yield made.list(f"{count:,} objects, one glob", count, [f"{root}/**.jpg"])
            tenths = [f"{root}/*{digit}/*.jpg" for digit in range(10)]
            if scale.where == "bucket":  # a prefix has to tell them apart
                tenths = [f"{root}/{digit:03}*/*.jpg" for digit in range(10)]
            yield made.list(f"{count:,} objects, ten globs", count, tenths)


def manifest(scale: Scale) -> Iterator[Row]:
    """The last steps of a run, for each number of files in ``scale.images``: full ones, and small ones to merge."""
    for files in scale.images:
        for what, records in (("full files", ShardLimits().records), ("small files", scale.bundle or _FEW)):
            with experiment("manifest", scale) as made:
                yield made.write_manifest(f"{files:,} {what}", files, records)


def shuffled(scale: Scale) -> Iterator[Row]:
    """Bytes that each URI takes in the shuffles of a run; nothing is captioned."""
    for count in scale.images:
        yield Row("shuffled", f"{count:,} URIs", count, {"bytes_for_each": bytes_for_each(count)})


PARTS: dict[str, Callable[[Scale], Iterator[Row]]] = {
    "run": run,
    "nights": nights,
    "listing": listing,
    "manifest": manifest,
    "bundles": bundles,
    "shuffled": shuffled,
}
