"""A shell for run_dataflow.sh in which gcloud, curl and python are stand-ins: they record and answer as told."""

import os
import subprocess
from pathlib import Path
from shlex import quote

SCRIPT = Path(__file__).parents[1] / "run_dataflow.sh"

JOB = ["--", "--images", "gs://photos/a b/*.jpg", "--output=gs://photos/captions"]
NIGHTLY = ["--cron", "0 2 * * *", "--time_zone=Europe/Zurich", "--scheduler_account=nightly@p.iam.gserviceaccount.com"]

# gcloud's own troubles, which say nothing of what it was asked about.
NOT_ABOUT_IT = [
    "ERROR: (gcloud.describe) INVALID_ARGUMENT: Quota project not found.",
    "ERROR: gcloud crashed (TransportError): enterprise certificate config file was not found.",
    "ERROR: (gcloud.describe) The current active account [someone@example.com] was not found or does not exist.",
]

# Records its words, which may hold anything.
STAND_IN = r"""#!/bin/sh
printf '%s\037' "${0##*/}" "$@" >>"$RECORD"
printf '\036' >>"$RECORD"
line="${0##*/} $*"
. "$ANSWERS"
"""

ANSWERS = {
    "gcloud auth list": ("someone@example.com", 0),
    "gcloud auth print-access-token": ("secret-token", 0),
    "gcloud services list": (
        "\n".join(
            f"{name}.googleapis.com" for name in ("dataflow", "cloudbuild", "artifactregistry", "cloudscheduler")
        ),
        0,
    ),
    "gcloud storage buckets describe": ("EUROPE-WEST4", 0),
    "gcloud compute regions describe": ("CPUS,500,10\nNVIDIA_T4_GPUS,16,4\nNVIDIA_L4_GPUS,0,0", 0),
    "gcloud compute accelerator-types list": ("europe-west4-a", 0),
    "gcloud scheduler jobs describe": ("", 1, "ERROR: (gcloud.scheduler.jobs.describe) NOT_FOUND: Job not found."),
    "python -c": ("beam2.77.0-tf2.21.0-py3.11", 0),
}


class Shell:
    """Runs the script with the stand-ins on its path, as the system starts it or by a shell."""

    def __init__(self, folder, *interpreter):
        self._folder = folder
        self._command = [*interpreter, str(SCRIPT)]
        for name in ("gcloud", "curl", "python"):
            (folder / name).write_text(STAND_IN)
            (folder / name).chmod(0o755)
        self.answers = dict(ANSWERS)
        self.settings = {
            "CAPTION_PROJECT": "my-project",
            "CAPTION_REGION": "europe-west4",
            "CAPTION_BUCKET": "gs://my-bucket",
            "CAPTION_PYTHON": str(folder / "python"),
            "CAPTION_POLL_SECONDS": "0",
        }
        self.path = f"{folder}{os.pathsep}{os.environ['PATH']}"

    def __call__(self, *arguments, status=0):
        (self._folder / "record").write_text("")
        (self._folder / "answers").write_text(self._answers())
        plain = {name: value for name, value in os.environ.items() if not name.startswith("CAPTION_")}
        files = {"RECORD": str(self._folder / "record"), "ANSWERS": str(self._folder / "answers"), "PATH": self.path}
        done = subprocess.run(
            [*self._command, *arguments],
            env={**plain, **files, **self.settings},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        self.out, self.err = done.stdout, done.stderr
        return self

    def _answers(self):
        """In the shell's language: answer, status and perhaps error for the longest beginning of what is asked."""
        longest_first = sorted(self.answers.items(), key=lambda answer: -len(answer[0]))
        cases = [
            f"{quote(start)}*) printf '%s\\n' {quote(text)}; printf %s {quote(''.join(error))} >&2; exit {code} ;;\n"
            for start, (text, code, *error) in longest_first
        ]
        return f'case "$line" in\n{"".join(cases)}esac\n'

    @property
    def asked(self):
        """What the stand-ins were asked, in turn."""
        commands = (self._folder / "record").read_bytes().decode().split("\036")[:-1]
        return [command.split("\037")[:-1] for command in commands]

    @property
    def last(self):
        return self.asked[-1]

    def refusal(self, *arguments):
        """The one sentence of a refusal, and that nothing was changed."""
        self(*arguments, status=2)
        changing = {"submit", "build", "create", "update", "cancel"}
        submitted = [words for words in self.asked if "beam_job" in words and "--check" not in words]
        assert not [words for words in self.asked if changing & {*words[:5]}] + submitted
        return self.err.strip().splitlines()[-1]


def value(words, flag):
    (found,) = [word.split("=", 1)[1] for word in words if word.startswith(f"{flag}=")]
    return found
