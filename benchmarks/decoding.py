"""Measures decoding on captioned photographs: quality and cost of each way, and how far the score can be trusted.

python -m benchmarks.decoding --captions dev.jsonl --plot docs/images/score-and-quality.svg

Needs `pip install -e '.[evaluate,plot]'`. Prints a Markdown table; times are relative to the first row.
The plot is of the job's default decoding: CIDEr of the images, in ten groups by score.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from beam_job.devices import BATCH_SIZE
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL, OpenModel, open_model
from beam_job.records import Caption
from train.data.captions import Example, read_captions
from train.evaluation.evaluate import EvaluationError, caption_images, check_tools, health, score

WAYS = {
    "greedy, pairs may repeat": Decoding("greedy", no_repeat_ngram=0),
    "greedy": Decoding("greedy"),
    "beam 2": Decoding(beam_width=2),
    "beam 3 (the default)": Decoding(),
    "beam 3, pairs may repeat": Decoding(no_repeat_ngram=0),
    "beam 3, by tokens ^ 0.7": Decoding(length_penalty=0.7),
    "beam 3, by tokens ^ 1.3": Decoding(length_penalty=1.3),
    "beam 5": Decoding(beam_width=5),
    "beam 3, no label bonus": Decoding(label_bonus=0.0),
    "sample": Decoding("sample"),
    "sample, top 10, pairs may repeat (the recipe)": Decoding("sample", top_k=10, no_repeat_ngram=0),
    "sample, top p 0.9": Decoding("sample", top_p=0.9),
    "sample, temperature 0.5": Decoding("sample", temperature=0.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", required=True, type=Path, help="JSONL of images and reference captions.")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="An exported model.")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="Where to draw score against quality (SVG).")
    options = parser.parse_args()
    try:
        check_tools()
    except EvaluationError as error:
        parser.error(str(error))
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: `pip install -e '.[plot]'`.")
    model, examples = open_model(options.model), read_captions(options.captions)

    print("| decoding | BLEU-4 | METEOR | CIDEr | mean score | distinct | repeat a word | words | time |")
    print("|---|---|---|---|---|---|---|---|---|")
    greedy = 0.0
    for name, decoding in WAYS.items():
        captions, seconds = measure(model, decoding, examples)
        greedy = greedy or seconds
        quality = score([caption.text for caption in captions], [example.captions for example in examples]).metrics
        state = health(captions)
        print(
            f"| {name} | {quality['bleu_4']:.1f} | {quality['meteor']:.1f} | {quality['cider']:.1f} "
            f"| {statistics.mean(caption.score for caption in captions):.2f} "
            f"| {state['distinct_captions_percent']:.0f} % | {state['repeats_a_content_word_percent']:.1f} % "
            f"| {state['mean_words']:.1f} | {seconds / greedy:.2f} |",
            flush=True,
        )
    if options.plot:
        captions, _ = measure(model, Decoding(), examples)
        plot(captions, examples, options.plot)


def measure(model: OpenModel, decoding: Decoding, examples: Sequence[Example]) -> tuple[list[Caption], float]:
    """The best caption of each example, and the seconds that it took once the graphs were traced."""
    captioner = Captioner(model, decoding, BATCH_SIZE)
    captioner.warm_up()
    started = time.perf_counter()
    found = caption_images(captioner, [example.image for example in examples], BATCH_SIZE)
    return [captions[0] for captions in found], time.perf_counter() - started


def plot(captions: Sequence[Caption], examples: Sequence[Example], path: Path) -> None:
    """Draws the mean CIDEr of ten groups of images of equal size, from the lowest score to the highest."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "score"  # the same picture from the same numbers
    scores = np.array([caption.score for caption in captions])
    cider = np.array(score([caption.text for caption in captions], [example.captions for example in examples]).ciders)
    ranks = np.array([values.argsort().argsort() for values in (scores, cider)], float)
    print(f"Rank correlation of score and CIDEr: {np.corrcoef(ranks)[0, 1]:.2f}")

    groups = np.array_split(scores.argsort(), 10)
    means = [cider[group].mean() for group in groups]
    errors = [statistics.stdev(cider[group]) / len(group) ** 0.5 for group in groups]
    labels = [f"{scores[group].min():.2f}\nto {scores[group].max():.2f}" for group in groups]
    for label, mean in zip(labels, means, strict=True):
        print(label.replace("\n", " "), f"{mean:.0f}")
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    axes.bar(range(10), means, yerr=errors, color="#4477aa", ecolor="#333333", capsize=3)
    axes.axhline(cider.mean(), color="#cc6677", linestyle="--", linewidth=1)
    axes.text(-0.4, cider.mean() + 1, "all photos", color="#cc6677", fontsize=9)
    axes.set_xticks(range(10), labels, fontsize=7)
    axes.set_xlabel("score of the caption, a tenth of the photos each")
    axes.set_ylabel("CIDEr")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
