"""One training run, from data sets to the exported model directory."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from beam_job.devices import gpus
from beam_job.model.directory import OpenModel, copy_model
from beam_job.model.manifest import Manifest
from train.data.batches import Batches
from train.data.captions import CaptionsError, DataSet
from train.data.examples import looks, references, targets
from train.data.features import FeatureCache
from train.data.text import build_vocabulary
from train.exporting.export import export
from train.exporting.warm_start import extended, load_decoder, shaped_like
from train.fitting.checkpoint import Checkpoint
from train.fitting.loop import Report, values
from train.fitting.precision import best_precision, mixed
from train.fitting.replicas import in_words, strategy_for
from train.fitting.self_critical import self_critical, steps_in_epoch
from train.fitting.teacher_forcing import fit
from train.fitting.validation import Dev
from train.models.decoder import build_decoder
from train.models.encoders import Encoder
from train.models.fine_tuning import split, with_tail
from train.outcome import outcome
from train.progress import Progress
from train.recipe import Recipe

_NAMED = 20  # of what is left out; the rest is counted


def train(
    data_sets: Sequence[DataSet],
    encoder: Encoder,
    recipe: Recipe,
    output: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str],
    seed: int,
    licence: str,
    dev_set: DataSet | None = None,
    start: OpenModel | None = None,
    checkpoint_seconds: float = 120,
    logs: str | os.PathLike[str] | None = None,
) -> Manifest:
    """Trains the recipe's decoder on the encoder's features and exports both.

    The same call after an interruption goes on where the run was, and ends with the same weights.

    Args:
      data_sets: what to learn from.
      encoder: frozen; or, if the recipe says so, its last stages learn, too, and it ends with what they learned.
      recipe: what to build and how to train it.
      output: the model directory to write.
      cache: directory of the feature caches and, while a run lasts, of its checkpoints.
      seed: of the weights, the order and dropout.
      licence: for the manifest.
      dev_set: photos whose captions are measured after each epoch; the best epoch's weights are exported.
      start: a model whose decoder and vocabulary training starts from; its numbers for them replace the recipe's.
      checkpoint_seconds: how much work a run may lose.
      logs: directory for TensorBoard.

    Returns:
      The manifest of the exported model: a copy of ``start`` where its dev CIDEr was the best.
    """
    began = time.time()
    if start:
        recipe = shaped_like(start, recipe)
    vocabulary = build_vocabulary(
        (caption for data in data_sets for example in data.examples for caption in example.captions),
        recipe.vocabulary_size,
        recipe.min_frequency,
        recipe.lowercase,
    )
    if start:
        vocabulary = extended(start.vocabulary, vocabulary)
    say(f"{len(vocabulary):,} tokens")
    cached, tail = divided(encoder, recipe)
    features = cached_features(data_sets, cached, cache, flip=recipe.flip, corner_crops=recipe.corner_crops)
    captions = targets(data_sets, vocabulary, recipe, left_out=features.broken)
    batches = Batches(
        features,
        *captions,
        pad_id=vocabulary.pad_id,
        batch_size=recipe.batch_size,
        captions_per_image_per_batch=recipe.captions_per_image_per_batch,
        seed=seed,
    )
    if batches.advice:
        say(batches.advice)
    told, seen = references(data_sets, left_out=features.broken), looks(data_sets, left_out=features.broken)
    steps_in_second = steps_in_epoch(recipe, len(seen)) if recipe.self_critical_epochs else 0
    keras.utils.set_random_seed(seed)  # here, so that the decoder's weights do not depend on what was built before
    if not (tail and gpus()):  # GPUs have no deterministic gradient of depthwise convolutions: it would be an error
        tf.config.experimental.enable_op_determinism()
    strategy = strategy_for(recipe)
    say(f"training on {in_words(strategy)}")
    with strategy.scope():
        decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(vocabulary))
    if start:
        load_decoder(start, decoder)
    learner = with_tail(decoder, tail) if tail else decoder

    dev, dev_features = None, None
    if dev_set:
        dev_features = cached_features([dev_set], cached, cache)
        found = references([dev_set], left_out=dev_features.broken)
        dev = Dev(dev_features, found, learner, vocabulary, recipe.max_caption_length, recipe.lowercase).cider
    precision = best_precision() if recipe.mixed_precision else "float32"
    key = _key(
        recipe=asdict(recipe),
        seed=seed,
        precision=precision,
        vocabulary=vocabulary.tokens,
        captions=[captions.images.tolist(), captions.tokens],
        references=[example.captions for data in (*data_sets, dev_set) if data for example in data.examples],
        encoder=encoder.digest,
        features=features.directory.name,
        dev_features=dev_features.directory.name if dev_features else None,
        start=start.fingerprint if start else None,
    )
    checkpoints = [
        Checkpoint(Path(cache) / "runs" / f"{key}-{stage}.npz", checkpoint_seconds) for stage in ("fit", "reward")
    ]
    if any(checkpoint.file.exists() for checkpoint in checkpoints):
        say("this run was interrupted: it goes on from its checkpoint")
    history = fit(
        learner,
        recipe,
        batches,
        pad_id=vocabulary.pad_id,
        precision=precision,
        strategy=strategy,
        taught=bool(start),
        dev=dev,
        checkpoint=checkpoints[0],
        report=_report("training", recipe.epochs, batches.steps_per_epoch, logs),
    )
    training: dict[str, Any] = {
        "data_sets": [{"name": data.name, "images": len(data.examples), "weight": data.weight} for data in data_sets],
        "images_left_out": len(features.broken),
        "captions_left_out": sum(len(data.left_out) for data in data_sets),
        "captions_per_epoch": len(captions.tokens),
        "recipe": asdict(recipe),
        "seed": seed,
        "precision": precision,
        "loss_by_epoch": [round(loss, 4) for loss in history.losses],
    }
    if start:
        training["started_from"] = start.fingerprint
    if dev_set:
        training["dev_set"] = {"name": dev_set.name, "images": len(dev_set.examples)}
        training["dev_cider_by_epoch"] = [round(cider, 2) for cider in history.dev_cider]
        if history.dev_cider_before is not None:
            training["dev_cider_before"] = round(history.dev_cider_before, 2)
    rewarded, mixture = None, None
    if recipe.self_critical_epochs:
        before = values(learner.trainable_variables)
        rewarded = self_critical(
            learner,
            recipe,
            features,
            told,
            vocabulary,
            looks=seen,
            seed=seed,
            precision=precision,
            strategy=strategy,
            dev=dev,
            checkpoint=checkpoints[1],
            report=_report("self-critical", recipe.self_critical_epochs, steps_in_second, logs),
        )
        training["reward_by_epoch"] = [round(-100 * loss, 2) for loss in rewarded.losses]
        if dev:
            training["dev_cider_by_self_critical_epoch"] = [round(cider, 2) for cider in rewarded.dev_cider]
        if recipe.self_critical_interpolation < 1:
            mix(learner.trainable_variables, before, recipe.self_critical_interpolation)
            if dev:
                with mixed(precision):
                    mixture = dev()
                training["dev_cider"] = round(mixture, 2)
    ended = outcome(history, rewarded, recipe.self_critical_interpolation, mixture)
    training["exported"] = ended.text
    training["seconds"] = round(time.time() - began)
    training["versions"] = {name: version(name) for name in ("tensorflow", "keras", "numpy", "pillow")}
    if start and ended.is_start and encoder.size == start.manifest.image.height:
        copy_model(start, output)
        manifest = start.manifest
    else:
        manifest = export(output, encoder, decoder, vocabulary, recipe, training=training, metrics={}, licence=licence)
    say(f"exported: {ended.text}")
    for checkpoint in checkpoints:
        checkpoint.remove()
    return manifest


def mix(variables: Sequence[keras.Variable], before: Sequence[np.ndarray], share: float) -> None:
    """Leaves that share of the variables' values, and takes the rest from what they were before.

    Weights on the line between a model and what further training made of it often are better than either end
    (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903).
    """
    for variable, value in zip(variables, before, strict=True):
        variable.assign(share * variable.numpy() + (1 - share) * value)


class Divided(NamedTuple):
    """An encoder in what the cache keeps the answers of, and what learns: None if nothing does."""

    cached: Encoder
    tail: keras.Model | None


def divided(encoder: Encoder, recipe: Recipe) -> Divided:
    """Divides the encoder as the recipe wants it, and says so."""
    if not recipe.fine_tune_encoder:
        return Divided(encoder, None)
    trunk, tail = split(encoder)
    _, positions, channels = trunk.model.output_shape
    say(
        f"the last {tail.count_params():,} of the encoder's {encoder.model.count_params():,} weights are fine-tuned; "
        f"the cache keeps what the frozen ones before them say of each image, {positions} x {channels} numbers"
    )
    return Divided(trunk, tail)


def cached_features(
    data_sets: Sequence[DataSet],
    encoder: Encoder,
    cache: str | os.PathLike[str],
    *,
    flip: bool = False,
    corner_crops: bool = False,
) -> FeatureCache:
    """The features of every image of the data sets; those that are missing are made now."""
    for data in data_sets:
        _name_left_out(f"captions or images of {data.name}", data.left_out)
    images = [example.image for data in data_sets for example in data.examples]
    features = FeatureCache(cache, encoder, images, flip=flip, corner_crops=corner_crops)
    say(
        f"{len(images):,} images; the features of {features.missing:,} are not cached yet: "
        f"{features.missing_bytes / 1e9:.2f} GB in {features.directory}"
    )
    features.fill(report=Progress("features", "images", len(images), len(images) - features.missing))
    broken = [f"{images[index]}: {why}" for index, why in features.broken.items()]
    if len(broken) == len(images):
        raise CaptionsError(
            f"None of the {len(images):,} images can be read (paths are relative to the file): {broken[0]}"
        )
    _name_left_out("broken images", broken)
    return features


def say(line: str) -> None:
    """Tells people, not programs."""
    print(line, file=sys.stderr, flush=True)


def _report(stage: str, epochs: int, steps_per_epoch: int, logs: str | os.PathLike[str] | None) -> Report:
    """Shows the steps and writes what was measured for TensorBoard."""
    progress: Progress | None = None
    writer = tf.summary.create_file_writer(os.path.join(logs, stage)) if logs else None

    def report(step: int, measured: Mapping[str, float]) -> None:
        nonlocal progress
        if "loss" in measured:
            progress = progress or Progress(stage, "steps", epochs * steps_per_epoch, done=step - 1)
            progress(step, f"epoch {step / steps_per_epoch:.2f} loss {measured['loss']:.3f}")
        else:
            say(f"{stage}: after {step:,} steps dev CIDEr is {measured['dev_cider']:.1f}")
        if writer:
            with writer.as_default(step):
                for name, value in measured.items():
                    tf.summary.scalar(name, value)
                if "dev_cider" in measured or step == epochs * steps_per_epoch:
                    writer.flush()

    return report


def _name_left_out(what: str, sentences: Sequence[str]) -> None:
    if sentences:
        say(f"{len(sentences):,} {what} left out:")
    for sentence in sentences[:_NAMED]:
        say(f"  {sentence}")
    if len(sentences) > _NAMED:
        say(f"  and {len(sentences) - _NAMED:,} more")


def _key(**decisive: Any) -> str:
    """A name for the run that all decides that its result depends on."""
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()[:16]
