"""Settings of run_dataflow.sh: what is refused as one, and where they come from."""

import pytest

from tests.script_shell import JOB, NIGHTLY, value


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("labels", "*"),
        ("labels", "team=*"),
        ("labels", "team=a b"),
        ("labels", "team"),
        ("labels", "team=archive,"),
        ("labels", 'team="x"'),
        ("labels", "a=b\nc=d"),
        ("image", "-x"),
        ("image", "a,_VARIANT=b"),
        ("template_file", "--impersonate-service-account=x"),
        ("project", "-p"),
        ("region", "europe-west4\nx"),
        ("bucket", "gs://b ucket"),
        ("repository", "--quiet"),
        ("job", "-j"),
        ("accelerator", "nvidia-l4;count:8"),
        ("machine_type", "--foo"),
        ("max_workers", "1e3"),
        ("service_account", "-x@y"),
        ("subnetwork", "[1]"),
        ("time_zone", "-1"),
        ("scheduler_account", "nobody"),
        ("python", "-c"),
    ],
)
def test_values_are_words_not_globs_or_options(shell, name, given):
    """A star is no list of files, and nothing that a person names is read as an option of another program."""
    assert f"--{name} {given}".replace("\n", "?") in shell.refusal("run", f"--{name}", given, *JOB)


def test_values_of_the_environment_are_checked_too(shell):
    shell.settings["CAPTION_LABELS"] = "*"
    assert "--labels *: write key=value" in shell.refusal("run", *JOB)


@pytest.mark.parametrize("command", ["status", "cancel"])
@pytest.mark.parametrize("name", ["-1", "--quiet", "nightly", "*", "1 2", "1\n2"])
def test_an_id_is_an_id(shell, command, name):
    assert shell.refusal(command, name)
    assert not [words for words in shell.asked if words[:3] == ["gcloud", "dataflow", "jobs"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["launch"], "launch: there is no such command"),
        (["build", "--colour=blue"], "--colour=blue: there is no such setting"),
        (["build", "--variant=tpu"], "--variant tpu: choose gpu or cpu"),
        (["build", "--region=Europe"], "--region Europe: this is not a region"),
        (["build", "--region"], "--region: its value is missing"),
        (["build", *JOB], "build: it takes no options of the job"),
        (["build", "extra"], "extra: settings begin with --"),
        (["template", "--bucket=my-bucket"], "--bucket my-bucket: give gs://BUCKET"),
        (["run"], "run: the job's options are missing"),
        (["run", "--variant=cpu", "--accelerator=nvidia-l4", *JOB], "the cpu image has no CUDA libraries"),
        (["run", "--variant=cpu", *JOB, "--accelerator=nvidia-l4"], "the cpu image has no CUDA libraries"),
        (["run", "--variant=cpu", *JOB, "--accelerator", "nvidia-l4"], "the cpu image has no CUDA libraries"),
        (["run", "--variant=cpu", *JOB, "--runner", "DirectRunner"], "--runner: this script submits to Dataflow"),
        (["run", "--max_workers=many", *JOB], "--max_workers many: choose 1 or more"),
        (["run", "--job=My_Job", *JOB], "--job My_Job: use lower-case letters"),
        (["run", "--image=x/y:beam2.76.0-tf2.21.0-py3.11", *JOB], "launcher and image differ"),
        (["run", "--from_template", "--", "--images", "gs://b/*.jpg"], "do not fit the template"),
        (["schedule", *JOB], "--cron is missing"),
        (["schedule", "--cron=nightly", *JOB], "--cron nightly: give five fields"),
        (["schedule", "--cron=0 2 * * *", *JOB], "--scheduler_account is missing"),
        (["schedule", *NIGHTLY, *JOB, "--colour=blue"], "do not fit the template"),
        (["status", "--wait"], "status --wait: name the JOB_ID"),
        (["status", "1", "2"], "2: one job at a time"),
        (["cancel"], "cancel: name the JOB_ID"),
    ],
)
def test_refusals(shell, arguments, message):
    assert message in shell.refusal(*arguments)


def test_settings_come_from_gcloud_where_nobody_gives_them(shell):
    del shell.settings["CAPTION_PROJECT"]
    shell.answers["gcloud config get-value project"] = ("their-project", 0)
    assert value(shell("status").last, "--project") == "their-project"
    del shell.settings["CAPTION_REGION"]
    assert "--region is missing" in shell.refusal("status")
