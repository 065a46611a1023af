"""run_dataflow.sh against a stand-in for gcloud that records what it is asked and answers what the test says."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flex_template.request import METADATA
from tests.cloud import BUCKET, dataflow_service, storage_emulator
from tests.script_shell import JOB, NIGHTLY, SCRIPT, Shell, value
from tests.tiny_model import write_tiny_model

CHECKOUT = Path(__file__).parents[1]
LAUNCH = "https://dataflow.googleapis.com/v1b3/projects/my-project/locations/europe-west4/flexTemplates:launch"


def test_shellcheck():
    """As its first line names sh, anything that POSIX's shell language lacks is a finding."""
    assert SCRIPT.read_text().startswith("#!/bin/sh\n")
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [shellcheck, "--external-sources", SCRIPT.name], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


# macOS's shell is bash 3.2, which no package has; what all of these run holds nothing that it lacks.
SHELLS = {
    "dash": ["dash"],
    "bash": ["bash", "--posix"],
    "busybox": ["busybox", "sh"],
    "mksh": ["mksh"],
    "yash": ["yash", "-o", "posixlycorrect"],
}


def session(folder, *interpreter):
    """What a few commands ask for and print."""
    shell = Shell(folder, *interpreter)
    shell.answers["gcloud compute regions describe"] = ("NVIDIA_L4_GPUS,16,4", 0)
    options = ["--", "--images", "gs://photos/it's a b/*.jpg", "--output=gs://photos/captions"]
    shell("run", "--labels=team=archive,cost=7", "--accelerator=nvidia-l4", "--subnetwork=s", *options, "--carry", "")
    done = [shell.asked]
    shell("run", "--from_template", "--dry_run", "--labels=team=archive,cost=7", *options)
    done += [shell.asked, shell.out, shell.refusal("run", "--max_workers=many", *options)]
    done += [shell.refusal("schedule", "--cron=0 08-23/2 1,31 JAN 5-1", *options)]
    shell.answers["gcloud storage buckets describe"] = ("", 1, "ERROR: gs://my-bucket not found: 404.")
    done += [shell.refusal("run", *options), shell.err]
    return re.sub(r"--job_name=[a-z0-9-]+", "", json.dumps(done))


@pytest.fixture(scope="module")
def session_of_the_system(tmp_path_factory):
    return session(tmp_path_factory.mktemp("sh"))


@pytest.mark.parametrize("name", SHELLS)
def test_every_shell_does_the_same(name, tmp_path, session_of_the_system):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    assert session(tmp_path, *SHELLS[name]) == session_of_the_system
    assert "it's a b" in session_of_the_system


def test_help(shell):
    shell("--help")
    for name in ("build", "template", "run", "schedule", "status", "cancel", "--dry_run"):
        assert f"  {name} " in shell.out
    assert "run_dataflow.sh COMMAND" in shell(status=2).err


def test_build(shell):
    words = shell("build").last
    assert words[:4] == ["gcloud", "builds", "submit", "."]
    image, variant = value(words, "--substitutions").removeprefix("_IMAGE=").split(",_VARIANT=")
    assert variant == "gpu"
    name, tag = image.rsplit(":", 1)
    assert name == "europe-west4-docker.pkg.dev/my-project/captioner/captioner"
    assert tag.endswith("-beam2.77.0-tf2.21.0-py3.11-gpu")
    assert value(words, "--config") == "cloudbuild.yaml"
    words = shell("build", "--variant=cpu", "--repository", "mine").last
    assert value(words, "--substitutions").endswith("py3.11-cpu,_VARIANT=cpu")
    assert "/my-project/mine/captioner:" in value(words, "--substitutions")


def test_template(shell):
    words = shell("template").last
    assert words[:4] == ["gcloud", "dataflow", "flex-template", "build"]
    assert words[4] == "gs://my-bucket/templates/caption-images-gpu.json"
    assert value(words, "--metadata-file") == str(METADATA.relative_to(CHECKOUT))
    assert value(words, "--sdk-language") == "PYTHON"
    assert value(words, "--image").endswith("-gpu")


def test_run(shell):
    words = shell("run", "--labels", "team=archive,cost=7", "--max_workers=12", "--subnetwork=s", *JOB).last
    assert words[:3] == ["python", "-m", "beam_job"]
    assert value(words, "--runner") == "DataflowRunner"
    assert value(words, "--sdk_container_image").startswith("europe-west4-docker.pkg.dev/my-project/captioner/")
    assert value(words, "--accelerator") == "nvidia-tesla-t4"
    assert value(words, "--max_num_workers") == "12"
    assert value(words, "--temp_location") == "gs://my-bucket/temp"
    assert value(words, "--job_name").startswith("caption-images-20")
    assert {word for word in words if word.startswith("--labels")} == {"--labels=team=archive", "--labels=cost=7"}
    assert "--no_use_public_ips" in words
    assert words[-3:] == JOB[1:]


def test_run_on_cpus(shell):
    words = shell("run", "--variant=cpu", "--machine_type=n2-standard-8", *JOB).last
    assert not [word for word in words if word.startswith("--accelerator")]
    assert value(words, "--worker_machine_type") == "n2-standard-8"


def test_run_from_the_template(shell):
    shell("run", "--from_template", "--service_account=w@my-project.iam.gserviceaccount.com", *JOB)
    (words,) = [words for words in shell.asked if words[0] == "curl"]
    assert words[-1] == LAUNCH
    launch = json.loads(words[words.index("--data") + 1])["launchParameter"]
    assert launch["containerSpecGcsPath"] == "gs://my-bucket/templates/caption-images-gpu.json"
    assert launch["parameters"] == {
        "accelerator": "nvidia-tesla-t4",
        "images": "gs://photos/a b/*.jpg",
        "output": "gs://photos/captions",
    }
    assert launch["environment"] == {
        "tempLocation": "gs://my-bucket/temp",
        "stagingLocation": "gs://my-bucket/staging",
        "maxWorkers": 10,
        "serviceAccountEmail": "w@my-project.iam.gserviceaccount.com",
    }
    assert "secret-token" not in " ".join(sum(shell.asked, [])) + shell.out + shell.err  # noqa: RUF017


def test_schedule_creates_then_updates(shell):
    words = shell("schedule", "--job=nightly", *NIGHTLY, *JOB, "--decoding=beam").last
    assert words[:6] == ["gcloud", "scheduler", "jobs", "create", "http", "nightly"]
    assert value(words, "--schedule") == "0 2 * * *"
    assert value(words, "--time-zone") == "Europe/Zurich"
    assert value(words, "--uri") == LAUNCH
    assert value(words, "--oauth-service-account-email") == "nightly@p.iam.gserviceaccount.com"
    assert value(words, "--headers") == "Content-Type=application/json"
    launch = json.loads(value(words, "--message-body"))["launchParameter"]
    assert launch["jobName"] == "nightly"  # always the same: Dataflow starts no second one while it runs
    assert launch["parameters"]["decoding"] == "beam"

    shell.answers["gcloud scheduler jobs describe"] = ("name: nightly", 0)
    words = shell("schedule", "--job=nightly", *NIGHTLY, *JOB).last
    assert words[:6] == ["gcloud", "scheduler", "jobs", "update", "http", "nightly"]
    assert value(words, "--update-headers") == "Content-Type=application/json"


def test_status_and_cancel(shell):
    words = shell("status").last
    assert words[:4] == ["gcloud", "dataflow", "jobs", "list"]
    assert not [word for word in words if word.startswith("--filter")]
    for state, status in (("DONE", 0), ("RUNNING", 0), ("FAILED", 1), ("CANCELLED", 1)):
        shell.answers["gcloud dataflow jobs describe"] = (f"JOB_STATE_{state}", 0)
        shell("status", "2026-1", status=status)
        assert shell.out.strip() == f"JOB_STATE_{state}"
        assert shell.last[:5] == ["gcloud", "dataflow", "jobs", "describe", "2026-1"]
    assert shell("cancel", "2026-1").last[:5] == ["gcloud", "dataflow", "jobs", "cancel", "2026-1"]


def test_a_dry_run_prints_the_very_commands_and_asks_for_nothing(shell):
    for arguments in (
        ["build"],
        ["template"],
        ["run", *JOB],
        ["schedule", *NIGHTLY, *JOB],
        ["status"],
        ["cancel", "1"],
    ):
        shell(*arguments[:1], "--dry_run", *arguments[1:])
        assert [words for words in shell.asked if words[:2] != ["python", "-c"] and words[-1] != "--check"] == []
        (printed,) = shell.out.strip().splitlines()
        shell(*arguments)
        done = [Path(word).name if place == 0 else word for place, word in enumerate(shlex.split(printed))]
        same = [word for word in done if not word.startswith("--job_name")]  # which holds the time
        assert same == [word for word in shell.last if not word.startswith("--job_name")]


def test_a_dry_run_needs_no_gcloud(shell, python, tmp_path):
    (tmp_path / "gcloud").unlink()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sed", "tr", "grep", "git", "dirname", "date", "python3", "env"):
        (tools / name).symlink_to(shutil.which(name))
    shell.path = str(tools)
    assert "--runner=DataflowRunner" in shell("run", "--dry_run", "--python", python, *JOB).out
    assert "gcloud is not installed" in shell.refusal("build")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", *JOB, "--beamwidth=3"], "--beamwidth=3: there is no such option"),
        (
            ["run", "--", "--images=photos/*.jpg", "--output=gs://b/o"],
            "--images photos/*.jpg: Dataflow's workers cannot read",
        ),
        (["run", "--", "--images=gs://b/*.jpg"], "--output is missing"),
        (["run", "--accelerator=nvidia-t4", *JOB], "--accelerator nvidia-t4: write TYPE"),
        (["run", "--from_template", "--machine_type=n1-standard-4", "--accelerator=nvidia-l4", *JOB], "needs g2-"),
        (["schedule", *NIGHTLY, "--accelerator=nvidia-l4:3", *JOB], "no machine has 3 of them"),
    ],
)
def test_a_dry_run_checks_the_jobs_options(shell, python, arguments, message):
    assert message in shell.refusal(*arguments[:1], "--dry_run", f"--python={python}", *arguments[1:])
    assert shell.out == ""


def test_the_options_are_checked_once(shell):
    """By the job itself where it is started from here; before, where Dataflow or a schedule starts it."""
    checks = {}
    for arguments in (["run"], ["run", "--dry_run"], ["run", "--from_template"], ["schedule", *NIGHTLY]):
        asked = shell(*arguments, *JOB).asked
        checks[" ".join(arguments[:2])] = len([words for words in asked if words[-1] == "--check"])
    assert checks == {"run": 0, "run --dry_run": 1, "run --from_template": 1, "schedule --cron": 1}


def test_a_machine_without_beam_launches_the_template_all_the_same(shell):
    shell.answers["python -c"] = ("", 1)
    assert (
        "lacks Beam or this package, so the job's options were not checked" in shell("run", "--from_template", *JOB).err
    )


def test_a_job_all_the_way_to_dataflow(shell, python, tmp_path):
    """The script, the real job behind it, and an address that takes what Google would."""
    write_tiny_model(tmp_path / "model")
    with storage_emulator() as client, dataflow_service() as service:
        for path in (tmp_path / "model").rglob("*"):
            if path.is_file():
                name = f"model/{path.relative_to(tmp_path / 'model')}"
                client.bucket(BUCKET).blob(name).upload_from_filename(path)
        client.bucket(BUCKET).blob("photos/cat.jpg").upload_from_string(b"")
        job = ["--images=gs://bucket/photos/*", "--output=gs://bucket/captions", "--model=gs://bucket/model"]
        shell.settings["STORAGE_EMULATOR_HOST"] = os.environ["STORAGE_EMULATOR_HOST"]
        shell("run", "--bucket=gs://bucket", "--python", python, "--skip_preflight", "--", *job,
              "--no_auth", f"--dataflow_endpoint={service.url}")  # fmt: skip
        (received,) = service.jobs
    assert shell.out == "2026-01-01_00_00_00-1\n"
    (pool,) = received["environment"]["workerPools"]
    assert pool["machineType"] == "n1-standard-4"
    assert pool["workerHarnessContainerImage"].startswith("europe-west4-docker.pkg.dev/my-project/captioner/")
    assert (
        "worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver"
        in received["environment"]["serviceOptions"]
    )


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not installed")
def test_gcloud_knows_every_flag(shell, tmp_path):
    """The real gcloud checks its arguments first, and finds nobody logged in afterwards."""
    commands = []
    for arguments in (
        ["build"],
        ["template"],
        ["schedule", *NIGHTLY, *JOB],
        ["status"],
        ["status", "1"],
        ["cancel", "1"],
    ):
        commands += shell(*arguments).asked
    environment = {**os.environ, "CLOUDSDK_CONFIG": str(tmp_path / "config"), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    for words in commands:
        if words[:3] != ["gcloud", "auth", "list"]:
            done = subprocess.run(words, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
            assert "do not currently have an active account" in done.stderr, (words, done.stderr)
