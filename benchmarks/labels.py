"""Counts how often captions name what the model's image classifier is sure of, with and without `--label_bonus`.

python -m benchmarks.labels --captions photos/dev.jsonl --label_bonus 0 1 2 3 4

The classifier is sure where the likeliest class has a probability above 0.7. A caption names the class by its name or
by one of its everyday words in `labels.tsv`. Needs `pip install -e '.[evaluate]'`. Prints a Markdown table.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from beam_job.devices import BATCH_SIZE
from beam_job.model.answer.labels import Labels
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL, open_model
from beam_job.records import Captions
from train.data.captions import read_captions
from train.evaluation.evaluate import EvaluationError, caption_images, check_tools, score

SURE = 0.7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", required=True, type=Path, help="JSONL of images and reference captions.")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="An exported model.")
    parser.add_argument("--label_bonus", nargs="+", type=float, default=[0.0], metavar="B", help="Default: 0.")
    options = parser.parse_args()
    model, examples = open_model(options.model), read_captions(options.captions)
    if not model.labels:
        parser.error(f"--model {options.model} has no labels.")
    try:
        check_tools()
    except EvaluationError as error:
        parser.error(str(error))

    print("| `--label_bonus` | the classifier is sure | named in the caption | share | CIDEr | time, first row = 1 |")
    print("|---|---|---|---|---|---|")
    took: list[float] = []
    for bonus in options.label_bonus:
        captioner = Captioner(model, Decoding(label_bonus=bonus), BATCH_SIZE)
        captioner.warm_up()
        started = time.perf_counter()
        found = caption_images(captioner, [example.image for example in examples], BATCH_SIZE)
        took.append(time.perf_counter() - started)
        named = names_its_class(found, model.labels)
        quality = score([captions[0].text for captions in found], [example.captions for example in examples]).metrics
        share = f"{sum(named) / len(named):.0%}".replace("%", " %") if named else "-"
        figures = [f"{bonus:g}", len(named), sum(named), share, f"{quality['cider']:.1f}", f"{took[-1] / took[0]:.2f}"]
        print(f"| {' | '.join(map(str, figures))} |", flush=True)


def names_its_class(found: Sequence[Captions], labels: Labels) -> list[bool]:
    """For each image on which the classifier is sure, whether its caption names the likeliest class."""
    words = dict(zip(labels.names, labels.words, strict=True))
    named = []
    for captions in found:
        likeliest = captions.labels[0] if captions.labels else None
        if likeliest and likeliest.probability > SURE:
            said = f" {' '.join(captions[0].tokens)} ".lower()
            named.append(any(f" {word.lower()} " in said for word in (likeliest.name, *words[likeliest.name])))
    return named


if __name__ == "__main__":
    main()
