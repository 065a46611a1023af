"""Measures the job and prints ratios; writes ``results.json`` and ``page.html``.

python -m benchmarks --output benchmarks/results           # an hour
python -m benchmarks --output /tmp/results --quick         # some minutes: does everything still run?
python -m benchmarks --output /tmp/results --only startup overhead
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beam_job.devices import BATCH_SIZE
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL, OpenModel, open_model
from benchmarks.figures.facts import facts
from benchmarks.figures.measurement import Measurement
from benchmarks.figures.page import page
from benchmarks.inputs.photographs import SAMPLES, photographs
from benchmarks.inputs.storage import storage
from benchmarks.parts import content, image_decoding, overhead, startup, xla
from benchmarks.parts.models import RECIPE, export_recipe, of_one_length, recipe_notebook
from benchmarks.parts.peers import measure as peers
from benchmarks.parts.throughput import DEFAULT, ENCODER, FIVE, GREEDY, STORAGE, Throughput

LATENCY = 0.05  # seconds that the storage emulator waits before each answer


@dataclass(frozen=True)
class Scale:
    """How much is measured: rounds, batches of each run of the job, images of runs without a model, photos to
    decode, photos of runs for their memory; what of."""

    rounds: int
    batch_size: int
    recipe_batches: int
    default_batches: int
    peer_batches: int
    overhead: Sequence[int]
    photos: int
    memory: Sequence[int]
    sources: Sequence[Path] = SAMPLES
    clock: Callable[[], float] = time.perf_counter
    full_precision: bool = False


FULL = Scale(5, BATCH_SIZE, 6, 10, 8, (1_000, 10_000, 100_000), 24, (1_000, 10_000))
QUICK = Scale(2, 4, 4, 6, 6, (300, 900), 2, (20, 40))


def main() -> None:
    """Runs what was asked for, one part after the other, and prints each part's findings as they come."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--output", type=Path, required=True, help="Folder for results.json and page.html.")
    parser.add_argument("--quick", action="store_true", help="Few rounds and small batches.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--photos", type=Path, nargs="+", default=SAMPLES, help="To decode, instead of samples/.")
    parser.add_argument("--cpu", action="store_true", help="Throughput by CPU time instead of the clock on the wall.")
    parser.add_argument("--full_precision", action="store_true", help="Throughput in float32 on any machine.")
    options = parser.parse_args()
    scale = replace(QUICK if options.quick else FULL, sources=options.photos)
    if options.photos is not SAMPLES:
        scale = replace(scale, photos=len(options.photos))
    scale = replace(scale, full_precision=options.full_precision)
    if options.cpu:
        scale = replace(scale, clock=time.process_time)
    options.output.mkdir(parents=True, exist_ok=True)
    machine = facts()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            part = Path(folder) / name
            part.mkdir()
            for measurement in PARTS[name](part, scale):
                print(measurement, flush=True)
                found.append(measurement)
            results = {"facts": machine, "measurements": [measurement.to_json() for measurement in found]}
            (options.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
            (options.output / "page.html").write_text(page(found, machine))


def _startup(folder: Path, scale: Scale) -> Iterable[Measurement]:
    return startup.measure(folder, scale.rounds, scale.memory)


def _overhead(folder: Path, scale: Scale) -> Iterable[Measurement]:
    return overhead.measure(folder, scale.overhead, scale.rounds)


def _decoding(folder: Path, scale: Scale) -> Iterable[Measurement]:
    captioner = Captioner(open_model(DEFAULT_MODEL), Decoding(), 1)
    return image_decoding.measure(folder, captioner, scale.photos, scale.rounds, scale.sources)


def _content(folder: Path, scale: Scale) -> Iterable[Measurement]:
    captioner = Captioner(open_model(DEFAULT_MODEL), Decoding(), scale.batch_size)
    return content.measure(captioner, photographs(folder / "photographs", scale.batch_size), scale.rounds)


def _xla(folder: Path, scale: Scale) -> Iterable[Measurement]:
    return xla.measure(open_model(DEFAULT_MODEL), scale.batch_size, scale.rounds)


def _default(folder: Path, scale: Scale) -> Iterable[Measurement]:
    goals = {GREEDY: ">= 0.85", DEFAULT: ">= 0.85", STORAGE: ">= 0.9", "default": "<= 0.6"}
    return _throughput(folder, scale, scale.default_batches, open_model(DEFAULT_MODEL), "Default model", goals=goals)


def _recipe(folder: Path, scale: Scale) -> Iterable[Measurement]:
    goals = {
        ENCODER: ">= 0.9",
        GREEDY: ">= 0.95",
        STORAGE: ">= 0.9",
        FIVE: ">= 25",
        "greedy": "<= 0.06",
        "beam": "<= 0.2",
    }
    model = export_recipe(folder / "model")
    peer = recipe_notebook().captions
    return _throughput(
        folder, scale, scale.recipe_batches, model, RECIPE, goals=goals, prepare=of_one_length, peer=peer
    )


def _throughput(
    folder: Path, scale: Scale, batches: int, model: OpenModel, group: str, **options: Any
) -> Iterator[Measurement]:
    photos = photographs(folder / "photographs", batches * scale.batch_size)
    with storage(folder / "photographs", LATENCY) as uris:
        throughput = Throughput(
            model,
            group,
            photos,
            uris,
            scale.batch_size,
            scale.rounds,
            clock=scale.clock,
            full_precision=scale.full_precision,
            **options,
        )
        yield from throughput.measure(folder)


def _peers(folder: Path, scale: Scale) -> Iterable[Measurement]:
    photos = photographs(folder / "photographs", scale.peer_batches * scale.batch_size)
    return peers.measure(folder, open_model(DEFAULT_MODEL), photos, scale.batch_size, scale.rounds)


PARTS = {
    "startup": _startup,
    "decoding": _decoding,
    "content": _content,
    "xla": _xla,
    "recipe": _recipe,
    "default": _default,
    "overhead": _overhead,
    "peers": _peers,
}

if __name__ == "__main__":
    main()
