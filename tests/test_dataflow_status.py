"""What `run_dataflow.sh status` says of jobs, and how long it waits for the end of one."""

import json
import re

import pytest

from tests.script_shell import JOB, NIGHTLY, NOT_ABOUT_IT, value


@pytest.mark.parametrize("submit", [["run"], ["run", "--from_template"], ["schedule"]], ids="-".join)
def test_status_finds_what_was_submitted_by_that_name(shell, submit):
    """The filter of the list against the name under which Dataflow knows the job."""
    words = shell(*submit, "--job=nightly", *(NIGHTLY if submit == ["schedule"] else []), *JOB).last
    if words[0] == "python":
        name = value(words, "--job_name")
    else:
        request = words[words.index("--data") + 1] if "--data" in words else value(words, "--message-body")
        name = json.loads(request)["launchParameter"]["jobName"]
    filtered = value(shell("status", "--job=nightly").last, "--filter")
    pattern = re.fullmatch(r'name~"(.+)"', filtered)[1]
    assert re.search(pattern, name)
    assert not re.search(pattern, f"other-{name}")
    assert not re.search(pattern, "nightly-rehearsal")


def test_status_waits_for_the_end(shell, tmp_path):
    """Running twice, then failed: a cron job sees the exit status."""
    (tmp_path / "gcloud").write_text(
        "#!/usr/bin/env bash\n"
        f'echo x >>"{tmp_path}/count"\n'
        f'if [ "$(wc -l <"{tmp_path}/count")" -lt 4 ]; then echo JOB_STATE_RUNNING; else echo JOB_STATE_FAILED; fi\n'
    )
    shell.settings["CAPTION_SKIP"] = "1"
    shell("status", "2026-1", "--wait", "--skip_preflight", status=1)
    assert shell.out == "JOB_STATE_FAILED\n"
    assert len((tmp_path / "count").read_text().split()) == 4


def polls(shell, tmp_path, *answers):
    """What waiting for a job's end says, where gcloud gives these answers in turn, and the last one from then on."""
    count = tmp_path / "count"
    cases = "".join(f"{number}) {answer} ;;\n" for number, answer in enumerate(answers[:-1], 1))
    cases += f"*) {answers[-1]} ;;\n"
    (tmp_path / "gcloud").write_text(f'#!/bin/sh\necho x >>"{count}"\ncase $(grep -c x "{count}") in\n{cases}esac\n')
    return ["status", "2026-1", "--wait", "--skip_preflight"]


OFFLINE = (
    "echo 'ERROR: (gcloud.dataflow.jobs.describe) Unable to find the server at dataflow.googleapis.com' >&2; exit 1"
)


def test_waiting_outlasts_polls_that_fail(shell, tmp_path):
    running = "echo JOB_STATE_RUNNING"
    shell(*polls(shell, tmp_path, *[OFFLINE] * 3, running, *[OFFLINE] * 19, running, OFFLINE, "echo JOB_STATE_DONE"))
    assert shell.out == "JOB_STATE_DONE\n"
    assert "Unable to find the server" in shell.err


@pytest.mark.parametrize("reason", [*NOT_ABOUT_IT, "ERROR: (gcloud.describe) PERMISSION_DENIED: (or it may not exist)"])
def test_waiting_goes_on_where_something_else_is_not_found(shell, tmp_path, reason):
    shell(*polls(shell, tmp_path, f"echo '{reason}' >&2; exit 1", "echo JOB_STATE_DONE"))
    assert shell.out == "JOB_STATE_DONE\n"
    assert reason in shell.err


def test_waiting_ends_where_no_poll_is_answered(shell, tmp_path):
    shell(*polls(shell, tmp_path, "echo JOB_STATE_RUNNING", OFFLINE), status=1)
    assert len((tmp_path / "count").read_text().split()) == 1 + 20
    assert shell.err.endswith(
        "The job may go on: see https://console.cloud.google.com/dataflow/jobs/europe-west4/2026-1?project=my-project\n"
    )
    assert "there is no such job" not in shell.err


def test_a_job_that_does_not_exist_is_told_from_one_that_cannot_be_looked_up(shell, tmp_path):
    for reason in ("NOT_FOUND: (1f): Information could not be found.", "HTTPError 404: Not Found"):
        gone = f"echo 'ERROR: (gcloud.dataflow.jobs.describe) {reason}' >&2; exit 1"
        shell(*polls(shell, tmp_path, gone), status=2)
        assert shell.err.endswith("2026-1: there is no such job in europe-west4.\n")
    polls(shell, tmp_path, OFFLINE)
    shell("status", "2026-1", "--skip_preflight", status=2)
    assert "Unable to find the server" in shell.err
    assert shell.err.endswith("2026-1: gcloud could not look it up, for the reason above.\n")
