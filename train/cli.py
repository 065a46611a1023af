"""The command line of training: ``python -m train fit`` and ``python -m train evaluate``."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from beam_job.decoding import Decoding
from train.recipe import RECIPES, with_settings

EXIT_REFUSED = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0 when it ended well, 2 when something was refused, with one sentence why."""
    options = _parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        options.command(options)
    except (ValueError, OSError, RuntimeError) as error:
        if options.debug:
            raise
        print(f"train: {error}", file=sys.stderr)
        return EXIT_REFUSED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description="Train and measure image captioning models.")
    parser.add_argument("--debug", action="store_true", help="Show where an error came from.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="Train a model and export it.", formatter_class=_Defaults)
    fit.set_defaults(command=_fit)
    fit.add_argument(
        "--captions",
        nargs="+",
        required=True,
        metavar="FILE[:WEIGHT]",
        help='JSONL files of {"image": "path", "captions": ["text", ...]}, paths relative to the file; a weight of 3 '
        "counts the file three times.",
    )
    fit.add_argument("--output", required=True, metavar="DIR", help="The model directory to write; it must not exist.")
    fit.add_argument("--encoder", default="InceptionResNetV2", help="The image encoder.")
    fit.add_argument(
        "--encoder_weights",
        default="imagenet",
        metavar="FILE",
        help="Keras weights of the encoder without its classifier; 'imagenet' downloads them.",
    )
    fit.add_argument("--recipe", default="default", choices=RECIPES, help="The numbers to start from.")
    fit.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="Numbers of the recipe to change: epochs=20 tied=true.",
    )
    fit.add_argument("--cache", default="cache", metavar="DIR", help="Where the encoder's features are kept.")
    fit.add_argument("--seed", type=int, default=0, help="The same seed gives the same model on CPUs.")
    fit.add_argument(
        "--licence", default="Not stated.", help="What users must know about the data; stands in the model."
    )

    evaluate = commands.add_parser("evaluate", help="Measure an exported model.", formatter_class=_Defaults)
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("--model", metavar="DIR", help="An exported model; the one in beam_job if left out.")
    evaluate.add_argument("--captions", required=True, metavar="FILE", help="A JSONL file, as for fit.")
    evaluate.add_argument("--batch_size", type=int, default=32, help="Images in a batch.")
    evaluate.add_argument("--output", metavar="FILE", help="Where the scores and every caption go, as JSON.")
    evaluate.add_argument("--record", metavar="NAME", help="Keep the scores in the model's manifest under that name.")
    Decoding.add_arguments(evaluate)
    return parser


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, []) or action.required else super()._get_help_string(action)


def _fit(options: argparse.Namespace) -> None:
    recipe = with_settings(RECIPES[options.recipe], options.set)

    from beam_job.model_directory import refuse_existing
    from train.captions import DataSet
    from train.encoders import build_encoder
    from train.run import train

    refuse_existing(options.output)
    data_sets = [DataSet.parse(argument) for argument in options.captions]
    encoder = build_encoder(options.encoder, options.encoder_weights)
    manifest = train(
        data_sets, encoder, recipe, options.output, cache=options.cache, seed=options.seed, licence=options.licence
    )
    print(f"{options.output}: fingerprint {manifest.fingerprint}")


def _evaluate(options: argparse.Namespace) -> None:
    from beam_job.captioner import Captioner
    from beam_job.model_directory import DEFAULT_MODEL, open_model
    from train.captions import read_captions
    from train.evaluate import caption_images, health, record, score
    from train.progress import Progress

    decoding = Decoding.from_arguments(options)
    examples = read_captions(Path(options.captions))
    captioner = Captioner(open_model(options.model or DEFAULT_MODEL), decoding, options.batch_size)
    progress = Progress("captions", "images", len(examples))
    captions = caption_images(captioner, [example.image for example in examples], options.batch_size, progress)
    metrics = score([caption.text for caption in captions], [example.captions for example in examples])
    metrics |= health(captions)
    print(json.dumps(metrics, indent=2))
    if options.record:
        record(options.model or DEFAULT_MODEL, options.record, metrics)
    if options.output:
        found = [
            {
                "image": str(example.image),
                "caption": caption.text,
                "score": caption.score,
                "references": example.captions,
            }
            for example, caption in zip(examples, captions, strict=True)
        ]
        Path(options.output).write_text(
            json.dumps({"metrics": metrics, "captions": found}, indent=1, ensure_ascii=False)
        )
