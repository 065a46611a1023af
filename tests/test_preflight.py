"""What run_dataflow.sh looks at in the cloud before it changes anything there."""

import pytest

from tests.script_shell import JOB, NIGHTLY, NOT_ABOUT_IT

MISSING = ("", 1, "ERROR: (gcloud.describe) NOT_FOUND: Requested entity was not found.")
GONE = (
    "",
    1,
    "ERROR: (gcloud.projects.describe) Projects instance [my-project] not found: Requested entity is missing.",
)
HIDDEN = ("", 1, "ERROR: (gcloud.describe) [me] does not have permission to access projects [p] (or it may not exist)")


@pytest.mark.parametrize(
    ("arguments", "question", "answer", "message"),
    [
        (["build"], "gcloud auth list", ("", 0), "nobody is logged in"),
        (["build"], "gcloud projects describe", HIDDEN, "--project my-project: it does not exist"),
        (["status"], "gcloud projects describe", GONE, "--project my-project: it does not exist"),
        (["build"], "gcloud services list", ("dataflow.googleapis.com", 0), "cloudbuild.googleapis.com is off"),
        (
            ["build"],
            "gcloud artifacts repositories describe",
            MISSING,
            "the repository captioner: it does not exist, or this account may not see it; run 'gcloud",
        ),
        (["template"], "gcloud storage buckets describe", MISSING, "--bucket gs://my-bucket: it does not exist"),
        (["template"], "gcloud artifacts docker images describe", MISSING, "; run './run_dataflow.sh build'"),
        (
            ["run", *JOB],
            "gcloud artifacts docker images describe",
            ("", 1, "ERROR: (gcloud.artifacts.docker.images.describe) Image not found."),
            "run './run_dataflow.sh build'",
        ),
        (["run", *JOB], "gcloud compute accelerator-types list", ("", 0), "there is none in europe-west4"),
        (["run", "--accelerator=nvidia-l4", *JOB], "-", ("", 0), "no nvidia-l4 is left in europe-west4"),
        (["run", *JOB], "python -c", ("beam2.76.0-tf2.21.0-py3.11", 0), "launcher and image differ"),
        (["run", *JOB], "python -c", ("", 1), "it lacks Beam or this package"),
        (
            ["schedule", *NIGHTLY, *JOB],
            "gcloud storage objects describe",
            ("", 1, "ERROR: (gcloud.storage.objects.describe) gs://my-bucket/t not found: 404."),
            "run './run_dataflow.sh template'",
        ),
        (["run", "--from_template", *JOB], "gcloud storage objects describe", MISSING, "the template"),
    ],
)
def test_preflight_refusals(shell, arguments, question, answer, message):
    shell.answers[question] = answer
    assert message in shell.refusal(*arguments)
    assert "".join(answer[2:]) in shell.err


REASONS = [
    "ERROR: (gcloud.describe) Unable to find the server at www.googleapis.com",
    "ERROR: (gcloud.describe) HTTPError 403: Request is prohibited by organization's policy.",
    "ERROR: There was a problem refreshing your current auth tokens: Reauthentication failed.",
    "ERROR: There was a problem refreshing your current auth tokens: denied on resource (or it may not exist).",
    *NOT_ABOUT_IT,
]


@pytest.mark.parametrize(
    ("arguments", "question", "what"),
    [
        (["build"], "auth list", "the account that is logged in"),
        (["build"], "projects describe", "--project my-project"),
        (["build"], "artifacts repositories describe", "the repository captioner"),
        (["template"], "storage buckets describe", "--bucket gs://my-bucket"),
        (["run", *JOB], "artifacts docker images describe", "the image europe-west4-docker.pkg.dev/my-project/"),
        (["run", *JOB], "compute accelerator-types list", "--accelerator nvidia-tesla-t4"),
        (["schedule", *NIGHTLY, *JOB], "storage objects describe", "the template gs://my-bucket/"),
        (["schedule", *NIGHTLY, *JOB], "scheduler jobs describe", "the schedule caption-images"),
    ],
)
def test_what_cannot_be_looked_up_is_not_said_to_be_missing(shell, arguments, question, what):
    for reason in REASONS if question == "projects describe" else REASONS[:1]:
        shell.answers[f"gcloud {question}"] = ("", 1, reason)
        said = shell.refusal(*arguments)
        assert said.startswith(f"run_dataflow.sh: {what}")
        assert said.endswith(": gcloud could not look it up, for the reason above.")
        assert reason in shell.err


def test_preflight_notes(shell):
    shell.answers["gcloud storage buckets describe"] = ("US-EAST1", 0)
    shell("run", "--accelerator=nvidia-tesla-t4:2", "--max_workers=10", *JOB)
    assert "note: gs://my-bucket lies in us-east1 and the job runs in europe-west4" in shell.err
    assert "note: 12 of the 20 GPUs that --max_workers 10 may need are left in europe-west4" in shell.err
