"""Measures how well scores rank captions of photographs that the expected quality was not learned from.

python -m benchmarks.quality --captions flickr8k/dev.jsonl photos/dev.jsonl

Learns the expected quality as `python -m train fit` does from its dev photographs, ten times, each time without a tenth
of them, and computes with it the scores of these photographs' captions by the job's default decoding. Prints Spearman's
rank correlation with the CIDEr of the captions as a Markdown table, and that of the model's own scores; - for a single
photograph.
"""

import argparse
import tempfile

import numpy as np

from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL, OpenModel, open_model
from train.data.captions import DataSet
from train.data.examples import references
from train.data.features import cached_features
from train.data.text import words
from train.evaluation.agreement import rank_correlation
from train.evaluation.evaluate import caption_images
from train.exporting.quality import DevSet, agreement, caption_dev_sets
from train.exporting.regression import Example
from train.exporting.warm_start import load_decoder, load_encoder, shaped_like
from train.fitting.cider import Cider
from train.models.decoder import build_decoder
from train.recipe import SMALL_DATA

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", required=True, nargs="+", help="JSONL of images and reference captions.")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="An exported model.")
    options = parser.parse_args()
    model, data_sets = open_model(options.model), [DataSet.parse(argument) for argument in options.captions]
    print("| photographs | expected quality of other photographs' captions | mean log-probability | own score |")
    print("|---|---|---|---|")
    for row in measure(model, data_sets):
        print(row)


def measure(model: OpenModel, data_sets: list[DataSet]) -> list[str]:
    """A row of the table for each data set."""
    recipe, vocabulary = shaped_like(model, SMALL_DATA), model.vocabulary
    encoder = load_encoder(model)
    decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(vocabulary))
    load_decoder(model, decoder)
    with tempfile.TemporaryDirectory(prefix="features-") as cache:
        dev_sets = []
        for data in data_sets:
            features = cached_features([data], encoder, cache)
            dev_sets.append(DevSet(data.name, features, references([data], left_out=features.broken)))
        learned = caption_dev_sets(decoder, recipe, dev_sets, vocabulary, seed=0)

    captioner = Captioner(model, Decoding(attention=True), BATCH)  # with the log-probability of each word
    judged: list[list[Example]] = []
    scores = []
    for data, dev in zip(data_sets, dev_sets, strict=True):
        found = caption_images(captioner, [data.examples[image].image for image in dev.references], BATCH)
        captions = [each[0] for each in found]
        cider = Cider([[words(told, recipe.lowercase) for told in all_told] for all_told in dev.references.values()])
        before = sum(map(len, judged))
        judged.append([])
        for photo, caption in enumerate(captions):
            ids = np.array([*vocabulary.encode(caption.tokens), *([vocabulary.end_id] if caption.ended else [])])
            log_probs = np.array(caption.log_probs, np.float32)
            judged[-1].append(Example(ids, log_probs, cider.score(photo, caption.tokens), before + photo))
        scores.append(rank_correlation([caption.score for caption in captions], [one.cider for one in judged[-1]]))
    examples = [example for each in learned for examples in each for example in examples]
    agreed = agreement(examples, judged, len(vocabulary))
    rows = []
    for dev, of_others, own in zip(dev_sets, agreed, scores, strict=True):
        photos = len(dev.references)
        told = [f"{value:.2f}" if photos > 1 else "-" for value in (*of_others, own)]
        rows.append(f"| {dev.name}, {photos:,} | {' | '.join(told)} |")
    return rows


if __name__ == "__main__":
    main()
