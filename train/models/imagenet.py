"""The 1,000 classes of ImageNet's classifiers, in the order of their outputs: names, and everyday words for them."""

from pathlib import Path

from beam_job.model.answer.labels import Labels

_FILE = Path(__file__).with_name("imagenet_labels.tsv")


def imagenet_labels() -> Labels:
    with _FILE.open(encoding="utf-8") as lines:
        return Labels.from_lines(lines)
