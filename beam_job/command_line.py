"""The command line of the job: its arguments, which become options of Beam's, and its help."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions

from beam_job.files.document import is_text
from beam_job.messages.invocation import program
from beam_job.options import CaptionOptions, OptionError

_EXAMPLES = """examples:
  python -m beam_job --images 'photos/*.jpg' --output captions --report
  python -m beam_job --uris archive.csv --uri_field path --carry id,album --output captions --max_failures 1%
  find photos -name '*.jpg' | python -m beam_job --uris - --output captions
  python -m beam_job --images 'photos/*.jpg' --output captions --decoding sample --num_captions 3 --seed 7
  python -m beam_job --uris gs://bucket/list.txt --output gs://bucket/captions --runner DataflowRunner \\
      --project my-project --region europe-west4 --temp_location gs://bucket/tmp

Beam's own options (--runner, --project, --temp_location, ...) work too.
Run the same command again to resume after an interruption, or to caption new images: captioned images are skipped.
Exit status: 0 done, 1 failed, 2 refused before any work, 3 done but more failures than --max_failures, 130 stopped by
Ctrl-C, 143 stopped by SIGTERM.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message}. See --help.")


def parse(argv: Sequence[str], *, launcher: bool = False) -> CaptionOptions:
    """Parses the command line, with Beam's own options; raises ``OptionError``.

    Beam itself drops unknown options with a warning, but a mistyped option must not start a job. A switch may also be
    written ``--recaption=true`` or ``=false``, as a Flex Template does.

    Args:
      argv: the command line.
      launcher: it comes from the launcher of a Flex Template. The launcher adds options of its own, more with every
        year, and these are dropped: the template's metadata has checked what came from people.
    """
    _check_text(argv)
    parser = _Parser(allow_abbrev=False, conflict_handler="resolve", add_help=False)
    for options in _subclasses(PipelineOptions):
        options._add_argparse_args(parser)  # noqa: SLF001
    argv = _plain_switches(argv, [action for action in parser._actions if action.nargs == 0])  # noqa: SLF001
    argv = [_Argument(arg) for arg in argv]
    known, unknown = parser.parse_known_args(argv)
    if launcher:
        argv, unknown = _without_options(argv, unknown)
    elif known.template_location:
        raise OptionError(
            f"--template_location {known.template_location}: all launches of a classic template would be one run, and "
            "delete each other's captions; write a Flex Template with `./run_dataflow.sh template`."
        )
    if unknown:
        raise OptionError(f"{' '.join(unknown)}: there is no such option. See --help.")
    return PipelineOptions([str(arg) for arg in argv]).view_as(CaptionOptions)


def _check_text(argv: Sequence[str]) -> None:
    """Raises ``OptionError`` where a name is not valid UTF-8: Beam cannot pass it on to the workers."""
    option = ""
    for arg in argv:
        if arg.startswith("--"):
            option = arg.partition("=")[0]
        if not is_text(arg):
            raise OptionError(
                f"{option} {arg.removeprefix(f'{option}=')}: this name is not valid UTF-8. Rename the file or folder; "
                "or list its images with --uris, as file:///PATH with %XX for each such byte."
            )


def is_verbose(argv: Sequence[str]) -> bool:
    """Whether the command line says ``--verbose``: messages are set up before the options are parsed."""
    return any(arg.lower() in ("--verbose", "--verbose=true") for arg in argv)


class _Argument(str):
    """An argument that is told from another of the same text."""

    __slots__ = ()


def _without_options(argv: Sequence[str], unknown: Sequence[str]) -> tuple[list[str], list[str]]:
    """Drops the options among ``unknown``, each with the values behind it; returns what is left of both."""
    places = {id(arg) for arg in unknown}
    kept: list[str] = []
    stray: list[str] = []
    dropping = False
    for arg in argv:
        is_unknown = id(arg) in places
        dropping = is_unknown and (dropping or arg.startswith("-"))
        if not is_unknown:
            kept.append(arg)
        elif not dropping:
            stray.append(arg)
    return kept, stray


def _plain_switches(argv: Sequence[str], switches: Sequence[argparse.Action]) -> list[str]:
    """Writes ``--switch=true`` as ``--switch``, and ``--switch=false`` as ``--no_switch`` or not at all."""
    names = {name for switch in switches for name in switch.option_strings}
    plain = []
    for arg in argv:
        name, _, value = arg.partition("=")
        if name not in names or not value:
            plain.append(arg)
        elif value.lower() not in ("true", "false"):
            raise OptionError(f"{arg}: this is a switch; write {name}, {name}=true or {name}=false.")
        else:
            meant = name if value.lower() == "true" else name.replace("--", "--no_", 1)
            plain += [meant] if meant in names else []
    return plain


def help_text() -> str:
    """What ``--help`` prints: the job's own options; Beam's are in its documentation."""
    name = program("beam_job")
    parser = argparse.ArgumentParser(
        prog=name,
        usage=f"{name} (--images GLOB ... | --uris LIST ...) --output DIR [options] [Beam's own options]",
        description="Captions images: reads URIs, and writes captions, failures and a manifest with their counts.",
        epilog=_EXAMPLES.replace("python -m beam_job", name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    CaptionOptions._add_argparse_args(parser)  # noqa: SLF001
    return parser.format_help()


def _subclasses(options: Any) -> list[Any]:
    return [found for child in options.__subclasses__() for found in (child, *_subclasses(child))]
