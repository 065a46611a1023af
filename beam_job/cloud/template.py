"""The Flex Template's metadata, generated from the job's options.

    python -m beam_job.cloud.template > flex_template/metadata.json

Every option becomes a parameter, except those that make sense only on the machine that starts the job.
"""

import argparse
import json
from typing import Any

from beam_job.options import CaptionOptions

LOCAL = ("check", "print_captions", "report", "verbose")
REQUIRED = ("output",)

_REGEXES = {
    "images": r"^[a-z0-9]+://.+$",
    "uris": r"^[a-z0-9]+://.+$",
    "output": r"^gs://[^*?]+$",
    "model": r"^[a-z0-9]+://.+$",
    "accelerator": r"^[a-z0-9-]+(:[1-9][0-9]?)?$",
    "max_failures": r"^[0-9]+(\.[0-9]+)?%?$",
}
_WHOLE, _NUMBER, _SWITCH = r"^[0-9]+$", r"^[0-9]+(\.[0-9]+)?$", r"^(true|false)$"


def metadata() -> dict[str, Any]:
    """The contents of the template's metadata file."""
    parser = argparse.ArgumentParser(prog="beam_job", add_help=False)
    CaptionOptions._add_argparse_args(parser)  # noqa: SLF001
    parameters: dict[str, dict[str, Any]] = {}
    for action in parser._actions:  # noqa: SLF001
        if action.dest not in (*parameters, *LOCAL):
            parameters[action.dest] = _parameter(action)
    return {
        "name": "Caption images",
        "description": "Captions images from Cloud Storage with a TensorFlow model and writes JSON lines. A run "
        "captions images that no earlier run in the output folder has captioned with the same model and decoding "
        "options.",
        "parameters": list(parameters.values()),
    }


def _parameter(action: argparse.Action) -> dict[str, Any]:
    text = (action.help or "") % {"default": action.default}
    several = " One pattern." if action.nargs == "+" else ""
    return {
        "name": action.dest,
        "label": action.dest.replace("_", " ").capitalize(),
        "helpText": text[:1].upper() + text[1:] + several,
        "isOptional": action.dest not in REQUIRED,
        "regexes": [_regex(action)],
        "paramType": "TEXT",
    }


def _regex(action: argparse.Action) -> str:
    if action.dest in _REGEXES:
        return _REGEXES[action.dest]
    if action.choices:
        return f"^({'|'.join(map(str, action.choices))})$"
    if action.nargs == 0:
        return _SWITCH
    kinds: dict[Any, str] = {int: _WHOLE, float: _NUMBER}
    return kinds.get(action.type, r"^.+$")


def to_text() -> str:
    """The text of the metadata file."""
    return json.dumps(metadata(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(to_text(), end="")
