"""What run_dataflow.sh looks at in the cloud before it changes anything there."""

import pytest

from tests.script_shell import JOB, NIGHTLY


@pytest.mark.parametrize(
    ("arguments", "question", "answer", "message"),
    [
        (["build"], "gcloud auth list", ("", 0), "nobody is logged in"),
        (["build"], "gcloud projects describe", ("", 1), "--project my-project: it does not exist"),
        (["build"], "gcloud services list", ("dataflow.googleapis.com", 0), "cloudbuild.googleapis.com is off"),
        (
            ["build"],
            "gcloud artifacts repositories describe",
            ("", 1),
            "the repository captioner does not exist: run 'gcloud",
        ),
        (["template"], "gcloud storage buckets describe", ("", 1), "--bucket gs://my-bucket: it does not exist"),
        (
            ["template"],
            "gcloud artifacts docker images describe",
            ("", 1),
            "does not exist: run './run_dataflow.sh build'",
        ),
        (["run", *JOB], "gcloud artifacts docker images describe", ("", 1), "run './run_dataflow.sh build'"),
        (["run", *JOB], "gcloud compute accelerator-types list", ("", 0), "there is none in europe-west4"),
        (["run", "--accelerator=nvidia-l4", *JOB], "-", ("", 0), "no nvidia-l4 is left in europe-west4"),
        (["run", *JOB], "python -c", ("beam2.76.0-tf2.21.0-py3.11", 0), "launcher and image differ"),
        (["run", *JOB], "python -c", ("", 1), "it lacks Beam or this package"),
        (["schedule", *NIGHTLY, *JOB], "gcloud storage objects describe", ("", 1), "run './run_dataflow.sh template'"),
        (["run", "--from_template", *JOB], "gcloud storage objects describe", ("", 1), "the template"),
    ],
)
def test_preflight_refusals(shell, arguments, question, answer, message):
    shell.answers[question] = answer
    assert message in shell.refusal(*arguments)


def test_preflight_notes(shell):
    shell.answers["gcloud storage buckets describe"] = ("US-EAST1", 0)
    shell("run", "--accelerator=nvidia-tesla-t4:2", "--max_workers=10", *JOB)
    assert "note: gs://my-bucket lies in us-east1 and the job runs in europe-west4" in shell.err
    assert "note: 12 of the 20 GPUs that --max_workers 10 may need are left in europe-west4" in shell.err
