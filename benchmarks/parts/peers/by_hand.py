"""A hand-written program: two threads decode the next batch while the model captions this one."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import Image

from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import open_model
from benchmarks.parts.peers.batch_ends import note_end
from benchmarks.parts.peers.captions import best
from benchmarks.parts.peers.task import Task

_THREADS = 2


def main() -> None:
    """Captions the photos into ``captions.jsonl``."""
    task = Task.from_command_line()
    captioner = Captioner(open_model(task.model), Decoding(), task.batch_size)
    decode = partial(pixels_of, size=(task.width, task.height))
    paths = task.paths()
    batches = [paths[start : start + task.batch_size] for start in range(0, len(paths), task.batch_size)]
    task.output.mkdir()
    with ThreadPoolExecutor(_THREADS) as threads, (task.output / "captions.jsonl").open("w") as file:
        coming = threads.map(decode, batches[0])
        for batch, following in zip(batches, [*batches[1:], []], strict=True):
            pixels = list(coming)
            coming = threads.map(decode, following)
            for path, found in zip(batch, captioner.caption(pixels, batch), strict=True):
                file.write(json.dumps({"uri": path, "caption": best(found)}) + "\n")
            note_end(task.ends, len(batch))


def pixels_of(path: str, size: tuple[int, int]) -> np.ndarray:
    """Uint8 [height, width, 3] of a photo, brought to ``size`` (width, height)."""
    with Image.open(path) as photo:
        return np.asarray(photo.convert("RGB").resize(size, Image.Resampling.BILINEAR))


if __name__ == "__main__":
    main()
