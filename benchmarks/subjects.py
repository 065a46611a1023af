"""Counts how often captions name what a photograph shows: food, a cat, a vehicle and other everyday subjects.

python -m benchmarks.subjects --captions photos/dev.jsonl

A photograph shows a subject where at least half of its reference captions name it. Prints a Markdown table, and below
it the photographs whose caption does not name it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from beam_job.devices import BATCH_SIZE
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL, open_model
from train.data.captions import read_captions
from train.data.text import words
from train.evaluation.evaluate import caption_images

# A subject's words; those that name a kind of it count as naming it.
SUBJECTS = {
    "food": (
        "food plate meal dish pizza sandwich cake vegetable vegetables carrots broccoli fruit banana bananas apple "
        "apples salad dessert bread soup meat rice breakfast dinner lunch doughnut doughnuts donut donuts fries"
    ),
    "cat": "cat cats kitten kittens",
    "dog": "dog dogs puppy puppies",
    "vehicle": (
        "vehicle vehicles bus buses car cars truck trucks van taxi train trains tram trolley motorcycle motorcycles "
        "motorbike"
    ),
    "aircraft": "plane planes airplane airplanes jet jets aircraft airliner helicopter",
    "cow, sheep or horse": "cow cows cattle bull sheep lamb lambs goat goats horse horses",
    "room": ("room bedroom bathroom kitchen bed couch sofa toilet sink furniture refrigerator oven stove table desk"),
    "bird": "bird birds duck ducks goose geese parrot",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", required=True, type=Path, help="JSONL of images and reference captions.")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="An exported model.")
    options = parser.parse_args()
    examples = read_captions(options.captions)
    captioner = Captioner(open_model(options.model), Decoding(), BATCH_SIZE)
    found = caption_images(captioner, [example.image for example in examples], BATCH_SIZE)
    captions = [each[0] for each in found]

    missed = []
    print("| subject | photographs | named in the caption |")
    print("|---|---|---|")
    for subject, names in SUBJECTS.items():
        known = set(names.split())
        shown = [
            (example, caption)
            for example, caption in zip(examples, captions, strict=True)
            if shows(example.captions, known)
        ]
        right = [caption for _, caption in shown if known & set(caption.tokens)]
        missed += [(subject, example.image, caption) for example, caption in shown if not known & set(caption.tokens)]
        print(f"| {subject} | {len(shown)} | {len(right)} |")
    print()
    for subject, image, caption in missed:
        print(f"{subject}: {image}: {caption.text} ({caption.score:.2f})")


def shows(references: Sequence[str], names: set[str]) -> bool:
    """Whether at least half of the references name a subject by one of its words."""
    return 2 * sum(bool(names & set(words(reference))) for reference in references) >= len(references)


if __name__ == "__main__":
    main()
