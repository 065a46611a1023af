"""Measures how well scores rank captions of photographs that the expected quality was not learned from.

python -m benchmarks.quality --captions flickr8k/dev.jsonl photos/dev.jsonl

Learns the expected quality as `python -m train fit` does from its dev photographs, ten times, each time without a tenth
of them, and computes with it the scores of these photographs' captions by the job's default decoding. Prints Spearman's
rank correlation with the CIDEr of the captions as a Markdown table, and that of the model's own scores; - for a single
photograph.

With `--output DIR` it also writes a copy of the model whose scores are learned from these photographs. The rank
correlations of each data set are in its manifest.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beam_job.devices import BATCH_SIZE
from beam_job.model.answer.captions import context_of
from beam_job.model.answer.evidence import word_evidence
from beam_job.model.answer.quality import Quality
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL, OpenModel, open_model, refuse_existing, write_model
from beam_job.model.manifest import LABELS, QUALITY, VOCABULARY
from train.data.captions import DataSet
from train.data.examples import references
from train.data.features import cached_features
from train.data.text import words
from train.evaluation.agreement import rank_correlation
from train.evaluation.evaluate import caption_images
from train.exporting.dev_captions import DevSet, Sight, caption_dev_sets, example_of, mean_log_prob
from train.exporting.quality import Agreement, agreement
from train.exporting.regression import Example, fit_examples
from train.exporting.warm_start import load_decoder, load_encoder, shaped_like
from train.fitting.cider import Cider
from train.models.decoder import build_decoder
from train.recipe import SMALL_DATA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", required=True, nargs="+", help="JSONL of images and reference captions.")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="An exported model.")
    parser.add_argument("--output", help="Where to write the model with scores learned from these photographs.")
    options = parser.parse_args()
    if options.output:
        refuse_existing(options.output)
    model, data_sets = open_model(options.model), [DataSet.parse(argument) for argument in options.captions]
    print("| photographs | expected quality of other photographs' captions | mean log-probability | own score |")
    print("|---|---|---|---|")
    learned = measure(model, data_sets)
    for row in learned.rows:
        print(row)
    if options.output:
        write(options.output, model, learned.quality, list(zip(data_sets, learned.agreement, strict=True)))


class Learned(NamedTuple):
    """Rows of the table and their figures, for each data set; and the quality learned from all of them."""

    rows: list[str]
    agreement: list[Agreement]
    quality: Quality


def measure(model: OpenModel, data_sets: list[DataSet]) -> Learned:
    """Learns the expected quality, and judges it by cross-validation."""
    recipe, vocabulary = shaped_like(model, SMALL_DATA), model.vocabulary
    encoder = load_encoder(model)
    decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(vocabulary))
    load_decoder(model, decoder)
    sight = Sight(encoder.classifier) if encoder.classifier else None
    evidence = word_evidence(model.labels, vocabulary)
    with tempfile.TemporaryDirectory(prefix="features-") as cache:
        dev_sets = []
        for data in data_sets:
            features = cached_features([data], encoder, cache)
            dev_sets.append(DevSet(data.name, features, references([data], left_out=features.broken)))
        learned = caption_dev_sets(decoder, recipe, dev_sets, vocabulary, seed=0, sight=sight)
        classes = [
            sight.probabilities(np.stack([dev.features[image, 0]])) if sight else None
            for dev in dev_sets
            for image in dev.references
        ]

    # The whole beam, with the log-probability of each word.
    captioner = Captioner(model, Decoding(num_captions=Decoding().width, attention=True), BATCH_SIZE)
    judged: list[list[Example]] = []
    scores = []
    for data, dev in zip(data_sets, dev_sets, strict=True):
        found = caption_images(captioner, [data.examples[image].image for image in dev.references], BATCH_SIZE)
        cider = Cider([[words(told, recipe.lowercase) for told in all_told] for all_told in dev.references.values()])
        before = sum(map(len, judged))
        judged.append([])
        for photo, captions in enumerate(found):
            seen = classes[before + photo]
            share = partial(evidence.share, probabilities=seen[0]) if evidence and seen is not None else None
            example = example_of(
                captions[0],
                vocabulary,
                cider=cider.score(photo, captions[0].tokens),
                photo=before + photo,
                context=context_of(captions[0].tokens, [mean_log_prob(each) for each in captions], share),
            )
            judged[-1].append(example)
        scores.append(rank_correlation([captions[0].score for captions in found], [one.cider for one in judged[-1]]))
    examples = [example for each in learned for examples in each for example in examples]
    agreed = agreement(examples, judged, len(vocabulary))
    rows = []
    for dev, of_others, own in zip(dev_sets, agreed, scores, strict=True):
        photos = len(dev.references)
        told = [f"{value:.2f}" if photos > 1 else "-" for value in (*of_others, own)]
        rows.append(f"| {dev.name}, {photos:,} | {' | '.join(told)} |")
    return Learned(rows, agreed, fit_examples(examples, len(vocabulary)))


def write(output: str, model: OpenModel, quality: Quality, agreed: Sequence[tuple[DataSet, Agreement]]) -> None:
    """Writes a copy of a model with another quality, and the agreement for each data set in the manifest."""
    manifest = model.manifest

    def copy(folder: Path) -> None:
        for name in manifest.files.keys() - {VOCABULARY, LABELS, QUALITY}:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(model.directory / name, folder / name)
        model.check_unchanged()

    dev_sets: list[dict[str, Any]] = [{**dev} for dev in manifest.training.get("dev_sets", [])]
    for dev in dev_sets:
        dev.pop("rank_correlation", None)  # which is of the former scores
    for data, each in agreed:
        named = [dev for dev in dev_sets if dev["name"] == data.name and "rank_correlation" not in dev]
        if not named:
            named = [{"name": data.name, "images": len(data.examples)}]
            dev_sets += named
        named[0]["rank_correlation"] = {key: round(value, 4) for key, value in each._asdict().items()}
    training = {**manifest.training, **({"dev_sets": dev_sets} if dev_sets else {})}
    written = write_model(output, copy, model.vocabulary, replace(manifest, training=training), model.labels, quality)
    print(f"{output}: fingerprint {written.fingerprint}")


if __name__ == "__main__":
    main()
