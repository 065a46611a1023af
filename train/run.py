"""One training run, from data sets to the exported model directory."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from beam_job.devices import gpus
from beam_job.model.directory import OpenModel, copy_model
from beam_job.model.manifest import Manifest
from train.curves import Stages, describe_curves, report_to
from train.data.captions import DataSet
from train.exporting.dev_captions import DevSet, Sight
from train.exporting.export import export
from train.exporting.labels import refit
from train.exporting.quality import learn_quality
from train.exporting.warm_start import load_decoder, shaped_like
from train.fitting.checkpoint import Checkpoint
from train.fitting.loop import Measured, values
from train.fitting.precision import Precision, best_precision, mixed
from train.fitting.replicas import in_words, strategy_for
from train.fitting.self_critical import self_critical, steps_in_epoch
from train.fitting.sentences import learn_sentences
from train.fitting.teacher_forcing import fit
from train.fitting.validation import Validation, mean_cider
from train.inputs import Inputs, read_inputs
from train.models.decoder import Decoder, build_decoder
from train.models.encoders import Encoder
from train.models.fine_tuning import SplitEncoder, split_encoder, with_tail
from train.outcome import outcome
from train.progress import say
from train.recipe import Recipe


def train(
    data_sets: Sequence[DataSet],
    encoder: Encoder,
    recipe: Recipe,
    output: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str],
    seed: int,
    licence: str,
    dev_sets: Sequence[DataSet] = (),
    sentences: Sequence[str] = (),
    start: OpenModel | None = None,
    checkpoint_seconds: float = 120,
    logs: str | os.PathLike[str] | None = None,
) -> Manifest:
    """Trains the recipe's decoder on the encoder's features and exports both.

    The same call after an interruption resumes the run, and ends with the same weights.

    Args:
      data_sets: training data.
      encoder: frozen, unless the recipe fine-tunes its last stages.
      recipe: what to build and how to train it.
      output: the model directory to write.
      cache: directory of the feature caches and, during a run, of its checkpoints.
      seed: of the weights, the order and dropout.
      licence: for the manifest.
      dev_sets: photos for validation after each epoch; the weights of the epoch with the highest dev CIDEr, the mean
        over the sets, are exported.
      sentences: captions without photos, from which the decoder learns first.
      start: a model for a warm start of decoder and vocabulary; its settings for them replace the recipe's.
      checkpoint_seconds: how much work an interruption may cost.
      logs: directory for TensorBoard.

    Returns:
      The manifest of the exported model: a copy of ``start`` if no epoch had a better dev CIDEr.
    """
    began = time.time()
    if start:
        recipe = shaped_like(start, recipe)
    split = split_encoder(encoder, recipe)
    inputs = read_inputs(data_sets, dev_sets, sentences, split, recipe, cache, seed, start)
    learner = _build(inputs, encoder, split, recipe, seed, start)
    key = _key(inputs, learner, data_sets, dev_sets, encoder, recipe, seed, start)
    checkpoints = [
        Checkpoint(Path(cache) / "runs" / f"{key}-{stage}.npz", checkpoint_seconds)
        for stage in ("sentences", "fit", "reward")
    ]
    if any(checkpoint.file.exists() for checkpoint in checkpoints):
        say("this run was interrupted: it resumes from its checkpoint")
    stages = _run_stages(inputs, learner, recipe, checkpoints, seed, pretrained=bool(start), logs=logs)
    if encoder.classifier:
        encoder = encoder._replace(classifier=refit(encoder.classifier, inputs.features, split, recipe.label_rank))
    ended = outcome(stages.first, stages.second, recipe.self_critical_interpolation, stages.interpolated)
    training = {
        **inputs.describe(data_sets, dev_sets),
        "recipe": asdict(recipe),
        "seed": seed,
        "precision": learner.precision,
        **({"started_from": start.fingerprint} if start else {}),
        **describe_curves(stages, validated=bool(dev_sets)),
        "exported": ended.text,
        "seconds": round(time.time() - began),
        "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "pillow")},
    }
    if start and ended.is_start and encoder.size == start.manifest.image.height:
        copy_model(start, output)
        manifest = start.manifest
    else:
        vocabulary = inputs.vocabulary
        names = [dev.name for dev in dev_sets]
        dev = [DevSet(*parts) for parts in zip(names, inputs.dev_features, inputs.dev_references, strict=True)]
        sight = Sight(encoder.classifier, split.tail) if encoder.classifier else None
        learned = learn_quality(learner.trained, recipe, dev, vocabulary, seed=seed, sight=sight)
        if learned:
            for described, agreement in zip(training["dev_sets"], learned.agreement, strict=True):
                described["rank_correlation"] = {name: round(value, 4) for name, value in agreement._asdict().items()}
        manifest = export(
            output,
            encoder,
            learner.decoder,
            vocabulary,
            recipe,
            training=training,
            licence=licence,
            quality=learned.quality if learned else None,
        )
    say(f"exported: {ended.text}")
    for checkpoint in checkpoints:
        checkpoint.remove()
    return manifest


class _Learner(NamedTuple):
    """What is trained and how: ``trained`` is ``decoder``, with the encoder's last stages if they are fine-tuned."""

    decoder: Decoder
    trained: Decoder
    strategy: tf.distribute.Strategy
    precision: Precision
    validate: Callable[[], float] | None


def _build(
    inputs: Inputs, encoder: Encoder, split: SplitEncoder, recipe: Recipe, seed: int, start: OpenModel | None
) -> _Learner:
    """Builds the decoder on the devices that share the training, with the weights of ``start`` if there is one."""
    keras.utils.set_random_seed(seed)  # here, so that the weights do not depend on anything built before
    if not (split.tail and gpus()):  # GPUs have no deterministic gradient of depthwise convolutions: an error
        tf.config.experimental.enable_op_determinism()
    strategy = strategy_for(recipe)
    say(f"training on {in_words(strategy)}")
    with strategy.scope():
        decoder = build_decoder(recipe, encoder.model.output_shape[-1], len(inputs.vocabulary))
    if start:
        load_decoder(start, decoder)
    trained = with_tail(decoder, split.tail, split.before, encoder.classifier) if split.tail else decoder
    length, lowercase = recipe.max_caption_length, recipe.lowercase
    validations = [
        Validation(features, references, trained, inputs.vocabulary, length, lowercase)
        for features, references in zip(inputs.dev_features, inputs.dev_references, strict=True)
    ]
    validate = partial(mean_cider, validations) if validations else None
    return _Learner(decoder, trained, strategy, best_precision() if recipe.mixed_precision else "float32", validate)


def _key(
    inputs: Inputs,
    learner: _Learner,
    data_sets: Sequence[DataSet],
    dev_sets: Sequence[DataSet],
    encoder: Encoder,
    recipe: Recipe,
    seed: int,
    start: OpenModel | None,
) -> str:
    """A name for the run, made of everything that its result depends on."""
    unread = [sorted(features.broken) for features in inputs.dev_features]  # they may be readable at the next start
    decisive = {
        "recipe": asdict(recipe),
        "seed": seed,
        "precision": learner.precision,
        "vocabulary": inputs.vocabulary.tokens,
        "captions": [inputs.captions.images.tolist(), inputs.captions.tokens],
        "references": [example.captions for data in (*data_sets, *dev_sets) for example in data.examples],
        "encoder": encoder.digest,
        "classifier": encoder.classifier and encoder.classifier.digest,
        "features": inputs.features.directory.name,
        "dev_features": [features.directory.name for features in inputs.dev_features],
        "sentences": inputs.sentences.captions.tokens if inputs.sentences else [],
        "start": start.fingerprint if start else None,
        **({"dev_left_out": unread} if any(unread) else {}),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _run_stages(
    inputs: Inputs,
    learner: _Learner,
    recipe: Recipe,
    checkpoints: Sequence[Checkpoint],
    seed: int,
    *,
    pretrained: bool,
    logs: str | os.PathLike[str] | None,
) -> Stages:
    """Sentences if there are any, teacher forcing, then self-critical training if the recipe has it; leaves the final
    weights in the learner."""
    trained, strategy, precision = learner.trained, learner.strategy, learner.precision
    learned = None
    start = None  # sentences may make a pretrained decoder worse: what they begin with is kept
    if inputs.sentences:
        report = report_to("sentences", recipe.sentence_epochs, inputs.sentences.steps_per_epoch, logs)
        if pretrained and learner.validate and not checkpoints[1].file.exists():  # a checkpoint of fit has it
            with mixed(precision):
                start = Measured(learner.validate(), values(trained.variables))
            report(0, {"dev_cider": start.dev_cider})
        learned = learn_sentences(
            learner.decoder,
            recipe,
            inputs.sentences,
            pad_id=inputs.vocabulary.pad_id,
            precision=precision,
            strategy=strategy,
            checkpoint=checkpoints[0],
            report=report,
        )
    first = fit(
        trained,
        recipe,
        inputs.batches,
        pad_id=inputs.vocabulary.pad_id,
        precision=precision,
        strategy=strategy,
        pretrained=pretrained,
        before=start,
        validate=learner.validate,
        checkpoint=checkpoints[1],
        report=report_to("training", recipe.epochs, inputs.batches.steps_per_epoch, logs),
    )
    if not recipe.self_critical_epochs:
        return Stages(learned, first, None, None)
    before = values(trained.trainable_variables)
    steps = steps_in_epoch(recipe, len(inputs.epoch_images))
    second = self_critical(
        trained,
        recipe,
        inputs.features,
        inputs.references,
        inputs.vocabulary,
        epoch_images=inputs.epoch_images,
        seed=seed,
        precision=precision,
        strategy=strategy,
        validate=learner.validate,
        checkpoint=checkpoints[2],
        report=report_to("self-critical", recipe.self_critical_epochs, steps, logs),
    )
    interpolated = None
    if recipe.self_critical_interpolation < 1:
        interpolate(trained.trainable_variables, before, recipe.self_critical_interpolation)
        if learner.validate:
            with mixed(precision):
                interpolated = learner.validate()
    return Stages(learned, first, second, interpolated)


def interpolate(variables: Sequence[keras.Variable], before: Sequence[np.ndarray], share: float) -> None:
    """Sets the variables to ``share`` of their values plus ``1 - share`` of the values before.

    Weights between a model and the result of further training are often better than either end (Wortsman et al. 2022,
    https://arxiv.org/abs/2109.01903).
    """
    for variable, value in zip(variables, before, strict=True):
        variable.assign(share * variable.numpy() + (1 - share) * value)
