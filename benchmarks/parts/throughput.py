"""Images per second of the bare encoder, of encoder and decoder loop in memory, and of the whole job.

All are measured by turns in one process, over the same photographs and with one copy of the model; what the job is
compared with half before it and half after it, over as many batches. The job's figure is that of its steady state: from
the end of its first batch to the end of its last but two, while there are still images to fetch. Where a batch has no
fewer images than threads fetch, as many are in hand at that window's end as at its beginning, and neither start nor end
of the pipeline is in it.
"""

import contextlib
import functools
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np

from beam_job.cli import main
from beam_job.images.pixels import decode
from beam_job.model.adaptive_batch import AdaptiveCaptioner
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import OpenModel
from beam_job.model.handler import CaptionHandler
from beam_job.records import Captions, NoCaption
from benchmarks.figures.measurement import Measurement, seconds

STRATEGIES = (Decoding("greedy"), Decoding("beam", beam_width=3), Decoding("sample", num_captions=5, top_k=10))
GREEDY = "encoder and greedy loop"
ENCODER = "encoder"
LOCAL = "job, local files"
DEFAULT = "job, local files, the default decoding"
DEFAULT_LOOP = "encoder and the default loop"
STORAGE = "job, storage with 50 ms latency"
FIVE = "job, five captions an image"
PEER = "the notebook's way, five captions an image"
_BEAM = "default"
_FIVE_BATCHES = 4


@dataclass
class _Watched:
    """A captioner that is loaded already and notes when each batch was done."""

    captioner: Captioner
    clock: Callable[[], float]
    ends: list[float] = field(default_factory=list)

    def caption(self, pixels: Sequence[np.ndarray], uris: Sequence[str]) -> list[Captions | NoCaption]:
        found = self.captioner.caption(pixels, uris)
        self.ends.append(self.clock())
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self.captioner, name)


@dataclass(frozen=True)
class Throughput:
    """What is measured of one model.

    Attributes:
      model: to caption with.
      group: its name on the page.
      photos: paths of the photographs, ``batches`` times ``batch_size`` of them.
      uris: of the same photographs in the storage emulator.
      batch_size: images that the model takes at a time.
      rounds: samples of each quantity.
      goals: of the ratios, by what is measured.
      prepare: what the model needs done to its decoding options.
      peer: gives five captions of one photograph in another way.
      clock: tells seconds; ``time.process_time`` is for a machine that is busy with other things.
      full_precision: whether to compute in float32 even where half precision is fast.
    """

    model: OpenModel
    group: str
    photos: Sequence[Path]
    uris: Sequence[str]
    batch_size: int
    rounds: int
    goals: dict[str, str]
    prepare: Callable[[Decoding], Decoding] = lambda decoding: decoding
    peer: Callable[[Path], object] | None = None
    clock: Callable[[], float] = time.perf_counter
    full_precision: bool = False

    def measure(self, folder: Path) -> list[Measurement]:
        """Runs all rounds; ``folder`` is for the job's output."""
        captioners = [self._captioner(each) for each in STRATEGIES]
        greedy, _, five = captioners
        default = self._captioner(Decoding())
        image = self.model.manifest.image
        photos = self.photos[: self.batch_size]
        names = [str(path) for path in photos]
        pixels = [decode(path.read_bytes(), image.height, image.width).array for path in photos]
        encoded = greedy.encode(pixels)
        for captioner in (*captioners, default):
            captioner.decode(encoded, names)
        took: dict[str, list[float]] = {}  # seconds a batch

        def take(name: str, work: Callable[[], object], batches: int = 1) -> None:
            spent = seconds(self.clock, lambda: [work() for _ in range(batches)]) / batches
            took.setdefault(name, []).append(spent)

        def in_memory() -> None:
            """As many batches as a run of the job, half of them before it: the machine may be faster now than later."""
            half = len(self.photos) // self.batch_size // 2
            take(ENCODER, lambda: greedy.encode(pixels), half)
            take(GREEDY, lambda: greedy.caption(pixels, names), half)
            take(DEFAULT_LOOP, lambda: default.caption(pixels, names), half)

        for turn in range(self.rounds):
            in_memory()
            took.setdefault(LOCAL, []).append(self._job(greedy, self.photos, folder / f"local {turn}"))
            in_memory()
            for name in (ENCODER, GREEDY, DEFAULT_LOOP):
                after, before = took[name].pop(), took[name].pop()
                took[name].append((before + after) / 2)
            took.setdefault(STORAGE, []).append(self._job(greedy, self.uris, folder / f"storage {turn}"))
            took.setdefault(DEFAULT, []).append(self._job(default, self.photos, folder / f"default {turn}"))
            take(_BEAM, functools.partial(default.decode, encoded, names))
            for captioner in captioners:
                take(captioner.decoding.strategy, functools.partial(captioner.decode, encoded, names))
            if self.peer is not None:
                take(PEER, functools.partial(self.peer, photos[turn]))
                took[PEER][-1] *= self.batch_size
                some = self.photos[: _FIVE_BATCHES * self.batch_size]
                took.setdefault(FIVE, []).append(self._job(five, some, folder / f"five {turn}"))
        return self._results(took)

    def _captioner(self, decoding: Decoding) -> Captioner:
        prepared = self.prepare(decoding)
        return Captioner(self.model, prepared, self.batch_size, full_precision=self.full_precision)

    def _job(self, captioner: Captioner, uris: Sequence[object], folder: Path) -> float:
        """Seconds a batch in the steady state of one run of the job."""
        watched = _Watched(captioner, self.clock)
        folder.mkdir(parents=True)
        (folder / "list.txt").write_text("".join(f"{uri}\n" for uri in uris))
        argv = ["--uris", folder / "list.txt", "--output", folder / "out", "--batch_size", self.batch_size]
        argv += ["--model", self.model.directory, "--runner", "DirectRunner"]

        def loaded(handler: CaptionHandler) -> AdaptiveCaptioner:
            return AdaptiveCaptioner(lambda batch_size: watched, self.batch_size)  # type: ignore[arg-type,return-value]

        said = io.StringIO()
        with mock.patch.object(CaptionHandler, "load_model", loaded), contextlib.redirect_stderr(said):
            status = main([str(argument) for argument in argv])
        if status != 0:
            raise RuntimeError(said.getvalue())
        return (watched.ends[-3] - watched.ends[0]) / (len(watched.ends) - 3)

    def _results(self, took: dict[str, list[float]]) -> list[Measurement]:
        ratios = f"{self.group}, ratios"
        names = [name for name in (ENCODER, GREEDY, DEFAULT_LOOP, LOCAL, STORAGE, DEFAULT, FIVE, PEER) if name in took]
        unit = "images/s" if self.clock is time.perf_counter else "images/s of CPU"
        rates = {
            name: Measurement(self.group, name, unit, [self.batch_size / each for each in took[name]]) for name in names
        }
        compared = [
            (LOCAL, ENCODER, ENCODER),
            (LOCAL, GREEDY, GREEDY),
            (DEFAULT, DEFAULT_LOOP, DEFAULT),
            (STORAGE, LOCAL, STORAGE),
            (FIVE, PEER, FIVE),
        ]
        found = [*rates.values()]
        for one, other, goal in compared:
            if one in rates:
                found.append(rates[one].over(rates[other], ratios, self.goals.get(goal, "")))
        for loop in (*(each.strategy for each in STRATEGIES), _BEAM):
            shares = [one / encoder for one, encoder in zip(took[loop], took[ENCODER], strict=True)]
            name = f"{loop} loop's share of the encoder's time"
            found.append(Measurement(ratios, name, "", shares, self.goals.get(loop, "")))
        return found
