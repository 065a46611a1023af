"""Measures an exported model through the job's own captioner, with the field's standard tools.

    found = measure(captioner, DataSet.parse("test.jsonl"), batch_size=128)
    found.metrics  # {"bleu_1": 63.1, ..., "distinct_words": 334}

    score([caption.text for caption in captions], [example.captions for example in examples]).metrics
    # {"bleu_1": 63.1, ..., "bleu_4": 20.2, "meteor": 20.1, "rouge_l": 46.2, "cider": 51.2}

The scores are those of pycocoevalcap behind its PTB tokenizer, times 100. Both need Java.
"""

import contextlib
import importlib.util
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from beam_job.files.whole import write_whole
from beam_job.images.pixels import ImageError, decode
from beam_job.messages.invocation import pip_install
from beam_job.model.captioner import Captioner
from beam_job.model.directory import DEFAULT_MODEL
from beam_job.model.manifest import MODEL_MANIFEST, read_manifest
from beam_job.records import Caption, Captions, NoCaption
from train.data.captions import DataSet, Image
from train.data.text import repeated
from train.errors import TrainError


class EvaluationError(TrainError):
    """The measurement needs something that is missing; the message says what to install."""


class ScoredCaption(NamedTuple):
    """An image, its caption, its reference captions, and the caption's CIDEr times 100."""

    image: Image
    caption: Caption
    references: tuple[str, ...]
    cider: float


class Scores(NamedTuple):
    """The metrics of captions; and the CIDEr of each, whose mean is the metric. All of them times 100."""

    metrics: dict[str, float]
    ciders: list[float]


class Evaluation(NamedTuple):
    """The metrics, every caption, and a sentence for each image that could not be read."""

    metrics: dict[str, float]
    scored: list[ScoredCaption]
    left_out: list[str]

    def to_json(self) -> str:
        """``{"metrics": {...}, "captions": [{"image", "caption", "score", "cider", "references"}], "left_out": []}``"""
        captions = [
            {
                "image": str(image),
                "caption": caption.text,
                "score": caption.score,
                "cider": round(cider, 2),
                "references": references,
            }
            for image, caption, references, cider in self.scored
        ]
        found = {"metrics": self.metrics, "captions": captions, "left_out": self.left_out}
        return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def measure(
    captioner: Captioner, data: DataSet, batch_size: int, report: Callable[[int], None] = lambda done: None
) -> Evaluation:
    """Captions a data set and measures the captions; images that can't be read are counted and left out.

    Raises:
      EvaluationError: no image can be read, or pycocoevalcap or Java is missing.
    """
    check_tools()  # before the work rather than after it
    unreadable: dict[int, str] = {}
    found = caption_images(captioner, [image for image, _ in data.examples], batch_size, report, unreadable)
    captions = [captions[0] for captions in found]
    examples = [example for index, example in enumerate(data.examples) if index not in unreadable]
    if not examples:
        raise EvaluationError(f"No image of {data.name} can be read: {unreadable[0]}.")
    texts, references = [caption.text for caption in captions], [example.captions for example in examples]
    scores = score(texts, references)
    metrics = scores.metrics | health(captions) | {"images_left_out": len(unreadable)}
    scored = [
        ScoredCaption(image, caption, of_image, cider)
        for (image, of_image), caption, cider in zip(examples, captions, scores.ciders, strict=True)
    ]
    return Evaluation(metrics, scored, [f"{data.examples[index].image}: {why}" for index, why in unreadable.items()])


def caption_images(
    captioner: Captioner,
    images: Sequence[Image],
    batch_size: int,
    report: Callable[[int], None] = lambda done: None,
    unreadable: dict[int, str] | None = None,
) -> list[Captions]:
    """The captions of each image, best first, and its labels.

    Args:
      captioner: with a model and a way of decoding.
      images: files, or images of a TensorFlow data set.
      batch_size: that of the captioner.
      report: called with the number of images done after each batch.
      unreadable: where the numbers of images go that can't be read or get no caption, and why. None to raise.

    Raises:
      ImageError, OSError: an image can't be read.
      ValueError: the model has no caption for an image.
    """
    size = captioner.model.manifest.image
    captions: list[Captions] = []
    for start in range(0, len(images), batch_size):
        pixels, names, places = [], [], []
        for index, image in enumerate(images[start : start + batch_size], start):
            try:
                pixels.append(decode(image.read_bytes(), size.height, size.width).array)
                names.append(str(image))
                places.append(index)
            except (ImageError, OSError) as error:
                if unreadable is None:
                    raise
                unreadable[index] = str(error)
        if pixels:
            for index, found in zip(places, captioner.caption(pixels, names), strict=True):
                if not isinstance(found, NoCaption):
                    captions.append(found)
                elif unreadable is None:
                    raise ValueError(f"{images[index]}: {found.reason}")
                else:
                    unreadable[index] = found.reason
        report(min(start + batch_size, len(images)))
    return captions


def score(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """BLEU-1 to 4, METEOR, ROUGE-L and CIDEr.

    Args:
      candidates: one caption an image.
      references: what people said about each image.

    Raises:
      EvaluationError: pycocoevalcap or Java is missing.
    """
    with _quietly():
        truth, found = _tokenized(candidates, references)
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.meteor.meteor import Meteor
        from pycocoevalcap.rouge.rouge import Rouge

        bleu, _ = Bleu(4).compute_score(truth, found)
        metrics = dict(zip(("bleu_1", "bleu_2", "bleu_3", "bleu_4"), bleu, strict=True))
        metrics["meteor"], _ = Meteor().compute_score(truth, found)
        metrics["rouge_l"], _ = Rouge().compute_score(truth, found)
        metrics["cider"], each = Cider().compute_score(truth, found)
    ciders = [100 * float(value) for value in each]
    return Scores({name: round(100 * float(value), 2) for name, value in metrics.items()}, ciders)


def check_tools() -> None:
    """Raises ``EvaluationError`` where pycocoevalcap or Java is missing."""
    if importlib.util.find_spec("pycocoevalcap") is None:
        raise EvaluationError(f"Evaluation needs pycocoevalcap: `{pip_install('pycocoevalcap')}`.")
    if shutil.which("java") is None:
        raise EvaluationError("Evaluation needs Java (17, say) on the PATH, for the PTB tokenizer and METEOR.")


def _tokenized(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[dict, dict]:
    """References and candidates as pycocoevalcap's scorers take them, by image."""
    check_tools()
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    told = [text for texts in (candidates, *references) for text in texts]
    lines = [{"caption": " ".join(text.split())} for text in told]  # a caption is a line, whatever ends a line for Java
    tokens = iter(PTBTokenizer().tokenize({0: lines})[0])  # all at once: each call starts Java
    found = {image: [next(tokens)] for image in range(len(candidates))}
    return {image: [next(tokens) for _ in texts] for image, texts in enumerate(references)}, found


def _quietly() -> contextlib.AbstractContextManager[object]:
    return contextlib.redirect_stdout(io.StringIO())  # pycocoevalcap prints as it goes


def record(model: str | os.PathLike[str], name: str, metrics: Mapping[str, float]) -> None:
    """Adds metrics under a name to a model's manifest, on any file system; the fingerprint stays the same."""
    manifest = read_manifest(model)
    manifest = replace(manifest, metrics={**manifest.metrics, name: dict(metrics)})
    write_whole(FileSystems.join(os.fspath(model), MODEL_MANIFEST), manifest.to_json().encode())


def check_recordable(model: str | os.PathLike[str]) -> None:
    """Raises ``EvaluationError`` if a model's manifest must not, or cannot, be changed."""
    if "://" in os.fspath(model):
        return
    if Path(model).resolve() == DEFAULT_MODEL.resolve():
        raise EvaluationError(
            f"--record would change the model in the installed package. Copy it first, as in `cp -r {DEFAULT_MODEL} "
            "model`, and evaluate with --model model."
        )
    if not os.access(model, os.W_OK):
        raise EvaluationError(f"--record: {model} cannot be written by this account.")


def check_writable(file: str) -> None:
    """Raises ``EvaluationError`` if a local result file could not be written at the end."""
    if "://" in file:
        return
    folder = Path(file).absolute().parent
    if not folder.is_dir():
        raise EvaluationError(f"{file}: there is no folder {folder}.")
    if Path(file).is_dir() or not os.access(folder, os.W_OK):
        raise EvaluationError(f"{file}: this file cannot be written.")


def health(captions: Sequence[Caption]) -> dict[str, float]:
    """Properties that need no references: whether captions differ from each other, and whether words are repeated."""
    tokens = [tuple(caption.tokens) for caption in captions]
    return {
        "captions": len(tokens),
        "distinct_captions_percent": round(100 * len(set(tokens)) / len(tokens), 1),
        "distinct_words": len({word for caption in tokens for word in caption}),
        "mean_words": round(sum(map(len, tokens)) / len(tokens), 2),
        "repeats_a_content_word_percent": round(
            100 * sum(repeated(caption) > 0 for caption in tokens) / len(tokens), 1
        ),
        "ended_percent": round(100 * sum(caption.ended for caption in captions) / len(tokens), 1),
    }
