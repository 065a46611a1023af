"""The arguments of commands that also take Beam's own options: both are checked and parsed before any work."""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions

from beam_job.files.document import is_text
from beam_job.messages.quoting import shown

_ALIKE = 0.8  # words; "disallow" and "allow" have 0.77


class OptionError(ValueError):
    """A wrong option; the message is one sentence that says what to do."""


class Parser(argparse.ArgumentParser):
    """Raises ``OptionError`` where ``argparse`` would print a message and end the process."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message}. See --help.")


def beams_parser() -> Parser:
    """The parser of all classes of options that are imported: Beam's own, and perhaps the job's."""
    parser = Parser(allow_abbrev=False, conflict_handler="resolve", add_help=False)
    for options in _subclasses(PipelineOptions):
        options._add_argparse_args(parser)  # noqa: SLF001
    return parser


def check_text(argv: Sequence[str], remedy: str) -> None:
    """Raises ``OptionError`` where a name is not valid UTF-8: Beam cannot pass it on to the workers."""
    option = ""
    for arg in argv:
        if arg.startswith("--"):
            option = arg.partition("=")[0]
        if not is_text(arg):
            named = f"{option} {arg.removeprefix(f'{option}=')}".strip()
            raise OptionError(f"{named}: this name is not valid UTF-8. {remedy}")


def check_unknown(unknown: Sequence[str], *parsers: argparse.ArgumentParser) -> None:
    """Raises ``OptionError`` for arguments that none of the parsers knows, with the option that may be meant."""
    if not unknown:
        return
    names = [name for parser in parsers for action in parser._actions for name in action.option_strings]  # noqa: SLF001
    written = next((one.partition("=")[0] for one in unknown if one.startswith("--")), "")
    close = next(iter(get_close_matches(written, filter(partial(_is_misspelt, written), names), 1)), None)
    meant = f" Did you mean {close}?" if close else ""
    raise OptionError(f"{shown(' '.join(unknown), 200)}: there is no such option or argument.{meant} See --help.")


def _is_misspelt(written: str, option: str) -> bool:
    """Whether each word is nearly that of the option: --no_x and --min_x mean the opposite of --x and --max_x."""
    words, others = (name.strip("-").replace("-", "_").split("_") for name in (written, option))
    return len(words) == len(others) and all(
        get_close_matches(word, [other], cutoff=_ALIKE) for word, other in zip(words, others, strict=True)
    )


def check_template(given: argparse.Namespace, problem: str) -> None:
    """Raises ``OptionError`` for a classic template: all its launches would be ``problem``, which says what to do."""
    if given.template_location:
        raise OptionError(
            f"--template_location {shown(given.template_location)}: all launches of a classic template would be "
            f"{problem}"
        )


def is_verbose(argv: Sequence[str]) -> bool:
    """Whether the command line says ``--verbose``: messages are set up before the options are parsed."""
    return any(arg.lower() in ("--verbose", "--verbose=true") for arg in argv)


def plain_switches(argv: Sequence[str], *parsers: argparse.ArgumentParser) -> list[str]:
    """Writes ``--switch=true`` as ``--switch``, and ``--switch=false`` as ``--no_switch`` or not at all."""
    switches = [action for parser in parsers for action in parser._actions if action.nargs == 0]  # noqa: SLF001
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


def _subclasses(options: Any) -> list[Any]:
    return [found for child in options.__subclasses__() for found in (child, *_subclasses(child))]
