"""The body of the request that launches the template, checked against its metadata; needs Python alone.

    python3 flex_template/request.py --job nightly --template gs://bucket/caption.json --set maxWorkers=20 \\
        -- --uris gs://bucket/list.txt --output gs://bucket/captions

What stands behind ``--`` are the job's options, as on its own command line.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

METADATA = Path(__file__).with_name("metadata.json")


def parameters(options: Sequence[str], metadata: dict[str, Any]) -> dict[str, str]:
    """The job's options as template parameters; raises ``ValueError`` with one sentence."""
    known = {parameter["name"]: parameter for parameter in metadata["parameters"]}
    found: dict[str, str] = {}
    waiting = ""  # for its value
    for option in options:
        if option.startswith("--"):
            name, given, value = option[2:].partition("=")
            if name.startswith("no_") and name not in known and name[3:] in known:
                name, given, value = name[3:], "=", "false"
            if name not in known:
                raise ValueError(f"--{name}: the template has no such parameter; see {METADATA.name} for those it has.")
            if name in found:
                raise ValueError(f"--{name} is there twice.")
            found[name] = value if given else "true"
            waiting = "" if given else name
        elif waiting:
            found[waiting], waiting = option, ""
        else:
            raise ValueError(f"{option}: a template's parameter takes one value; name several files by one pattern.")
    for name, value in found.items():
        if not all(re.search(regex, value) for regex in known[name]["regexes"]):
            raise ValueError(f"--{name} {value}: it must match {' and '.join(known[name]['regexes'])}.")
    missing = [name for name, parameter in known.items() if not parameter["isOptional"] and name not in found]
    if missing:
        raise ValueError(f"--{missing[0]} is missing.")
    if not {"images", "uris"} & found.keys():
        raise ValueError("There is nothing to caption: give --images GLOB or --uris LIST.")
    return found


def body(job: str, template: str, environment: Sequence[str], options: Sequence[str]) -> dict[str, Any]:
    """What ``flexTemplates.launch`` takes.

    Args:
      job: the job's name; while a job of this name runs, Dataflow starts no second one.
      template: the template's file in Cloud Storage.
      environment: ``name=value`` of the runtime environment; a value in brackets or braces is JSON.
      options: the job's.
    """
    settings: dict[str, Any] = {}
    for setting in environment:
        name, _, value = setting.partition("=")
        settings[name] = json.loads(value) if value[:1] in ("{", "[") or value.isdigit() else value
    found = parameters(options, json.loads(METADATA.read_text(encoding="utf-8")))
    return {
        "launchParameter": {
            "jobName": job,
            "containerSpecGcsPath": template,
            "parameters": found,
            "environment": settings,
        }
    }


def main() -> None:
    own, options = _split(sys.argv[1:])
    parser = argparse.ArgumentParser(description="Prints the request that launches the template.")
    parser.add_argument("--job", required=True)
    parser.add_argument("--template", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args(own)
    try:
        print(json.dumps(body(arguments.job, arguments.template, arguments.set, options)))
    except ValueError as error:
        sys.exit(f"{error}")


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


if __name__ == "__main__":
    main()
