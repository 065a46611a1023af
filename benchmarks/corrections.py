"""What corrected captions teach the model that ships: the least certain ones first, against ones drawn at random.

    python -m beam_job --uris list.txt --output captions
    python -m benchmarks.corrections --captions captions --photos photos/train.jsonl --dev photos/dev.jsonl

The captions of `--photos` play the reviewer: each photo's first one is the correction. For each number of corrections
the model is trained on them (`train fit --captions reviews:DIR --start default`) and measured on `--dev`, of which it
sees nothing before. Prints a Markdown table; CIDEr is the mean over `--seeds` runs of the training.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from beam_job.review.draw import Drawn, draw_least_certain, draw_stratified
from beam_job.runs.archive import Archive, open_archive
from beam_job.runs.reviews import CORRECTED, Review
from train.data.captions import read_captions

SIZES = (100, 300, 1000)
SETTINGS = ("learning_rate=0.0003", "epochs=5", "batch_size=20", "patience=5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", required=True, help="Output of the job over the photos.")
    parser.add_argument("--photos", type=Path, required=True, help="Captions file of the photos, by people.")
    parser.add_argument("--dev", type=Path, required=True, help="Captions file of other photos, to measure on.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=SETTINGS, help="Settings of the recipe.")
    options = parser.parse_args()
    sentences = {str(image): captions[0] for image, captions in read_captions(options.photos.absolute())}
    archive = open_archive(options.captions)
    with tempfile.TemporaryDirectory() as folder:
        start = _measured("default", options.dev, Path(folder) / "start.json")
        print(
            "| corrections | least certain first | drawn at random | seconds to train and measure |\n|---|---|---|---|"
        )
        print(f"| 0 | {start:.1f} | {start:.1f} | |", flush=True)
        for size in options.sizes:
            began = time.perf_counter()
            row = []
            for draw in (draw_least_certain, draw_stratified):
                drawn = draw(archive.captions, size, 0)
                reviews = _reviews(archive, drawn, sentences, Path(folder) / f"{draw.__name__}-{size}")
                scores = [_taught(reviews, seed, options, Path(folder)) for seed in range(options.seeds)]
                row.append(sum(scores) / len(scores))
            seconds = (time.perf_counter() - began) / (2 * options.seeds)
            print(f"| {size:,} | {row[0]:.1f} | {row[1]:.1f} | {seconds:.0f} |", flush=True)


def _reviews(archive: Archive, drawn: Sequence[Drawn], sentences: Mapping[str, str], folder: Path) -> Path:
    """A folder with a correction of each drawn photo."""
    made_by = (archive.model, archive.decoding)
    (folder / "reviews").mkdir(parents=True)
    with (folder / "reviews" / "reviews.jsonl").open("w") as file:
        for record, probability in drawn:
            shown = (record["caption"], *made_by, record["run"], record["score"], probability, "2026-01-02T03:04:05Z")
            file.write(Review(record["uri"], CORRECTED, sentences[record["uri"]], *shown).to_json() + "\n")
    return folder


def _taught(reviews: Path, seed: int, options: argparse.Namespace, folder: Path) -> float:
    """CIDEr on the dev photos of a model that was trained on reviews."""
    model = reviews / f"model-{seed}"
    _train("fit", "--start=default", f"--captions=reviews:{reviews}", f"--output={model}", f"--seed={seed}",
           f"--cache={folder}/cache", "--set", *options.set)  # fmt: skip
    return _measured(str(model), options.dev, reviews / f"{seed}.json")


def _measured(model: str, dev: Path, output: Path) -> float:
    named = [] if model == "default" else [f"--model={model}"]
    _train("evaluate", *named, f"--captions={dev}", f"--output={output}")
    return float(json.loads(output.read_text())["metrics"]["cider"])


def _train(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "train", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"train {arguments[0]} failed: {done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
