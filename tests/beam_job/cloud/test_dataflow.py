"""Dataflow: what is refused, and the very job request that Google would receive."""

import json
import runpy

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from beam_job.cli import main
from beam_job.cloud.accelerators import ATTACHED, BUILT_IN, Accelerator
from tests.beam_job.cloud.arguments import IMAGE, arguments
from tests.cloud import BUCKET


def submit(service, *more, **settings):
    """Submits a job and returns its environment as the service received it."""
    assert main(arguments(*more, service=service, **settings)) == 0
    (job,) = service.jobs
    return job["environment"]


def pipeline_of(bucket, environment):
    """The pipeline that a job names."""
    url = environment["sdkPipelineOptions"]["options"]["pipelineUrl"]
    data = bucket.blob(url.removeprefix(f"gs://{BUCKET}/")).download_as_bytes()
    return beam_runner_api_pb2.Pipeline.FromString(data)


def options_of(environment):
    return environment["sdkPipelineOptions"]["options"]


def test_a_gpu_job_as_dataflow_receives_it(bucket, service, capsys):
    environment = submit(
        service,
        "--job_name=caption-archive",
        "--accelerator=nvidia-tesla-t4",
        "--max_num_workers=20",
        "--labels=team=archive",
        "--labels=nightly=yes",
        "--service_account_email=captioner@project.iam.gserviceaccount.com",
        "--dataflow_service_options=enable_google_cloud_profiler",
        "--experiments=enable_recommendations",
    )
    (pool,) = environment["workerPools"]
    (container,) = pool["sdkHarnessContainerImages"]
    assert pool["machineType"] == "n1-standard-4"
    assert pool["diskSizeGb"] == 100
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 20
    assert container["containerImage"] == pool["workerHarnessContainerImage"] == IMAGE
    assert environment["serviceOptions"] == [
        "enable_google_cloud_profiler",
        "worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver",
    ]
    assert {"no_use_multiple_sdk_containers", "enable_recommendations", "use_runner_v2"} <= {
        *environment["experiments"]
    }
    assert "use_multiple_sdk_containers" not in environment["experiments"]
    assert environment["serviceAccountEmail"] == "captioner@project.iam.gserviceaccount.com"
    (job,) = service.jobs
    assert job["name"] == "caption-archive"
    assert job["labels"] == {"team": "archive", "nightly": "yes"}
    assert options_of(environment)["require_gpu"] is True
    assert options_of(environment)["save_main_session"] is False

    assert [method for method, _ in service.requests] == ["POST"], "the launcher must not wait for the job"
    captured = capsys.readouterr()
    assert captured.out == "2026-01-01_00_00_00-1\n"
    assert "Its captions go to gs://bucket/captions/run=" in captured.err


def test_the_image_holds_everything_so_nothing_is_staged(bucket, service):
    environment = submit(service, "--job_name=lean")
    staged = [package["name"] for package in environment["workerPools"][0].get("packages", [])]
    assert staged == ["submission_environment_dependencies.txt"]  # Beam's note of the launcher's versions
    blobs = list(bucket.client.list_blobs(BUCKET, prefix="staging/lean"))
    assert sorted(blob.name.split("/")[-1] for blob in blobs) == ["pipeline.pb", *staged]
    assert sum(blob.size for blob in blobs) < 1_000_000, "the model does not travel inside the pipeline"


def test_a_cpu_job_keeps_dataflows_defaults(bucket, service):
    environment = submit(service)
    (pool,) = environment["workerPools"]
    assert "machineType" not in pool
    assert "diskSizeGb" not in pool
    assert "serviceOptions" not in environment
    assert "use_multiple_sdk_containers" in environment["experiments"]
    assert options_of(environment)["require_gpu"] is False


@pytest.mark.parametrize(
    ("accelerator", "machine", "more"),
    [
        ("nvidia-tesla-t4:2", "n1-standard-8", []),
        ("nvidia-tesla-t4:4", "n1-standard-16", []),
        ("nvidia-l4", "g2-standard-4", []),
        ("nvidia-l4:2", "g2-standard-24", []),
        ("nvidia-l4:4", "g2-standard-48", []),
        ("nvidia-l4:8", "g2-standard-96", []),
        ("nvidia-rtx-pro-6000", "g4-standard-48", []),
        ("nvidia-rtx-pro-6000:2", "g4-standard-96", []),
        ("nvidia-rtx-pro-6000:4", "g4-standard-192", []),
        ("nvidia-rtx-pro-6000:8", "g4-standard-384", []),
        ("nvidia-tesla-a100", "a2-highgpu-1g", []),
        ("nvidia-tesla-a100:2", "a2-highgpu-2g", []),
        ("nvidia-tesla-a100:4", "a2-highgpu-4g", []),
        ("nvidia-tesla-a100:8", "a2-highgpu-8g", []),
        ("nvidia-tesla-a100:16", "a2-megagpu-16g", []),
        ("nvidia-a100-80gb", "a2-ultragpu-1g", []),
        ("nvidia-a100-80gb:2", "a2-ultragpu-2g", []),
        ("nvidia-a100-80gb:4", "a2-ultragpu-4g", []),
        ("nvidia-a100-80gb:8", "a2-ultragpu-8g", []),
        ("nvidia-h100-80gb", "a3-highgpu-1g", ["--flex_start"]),
        ("nvidia-h100-80gb:2", "a3-highgpu-2g", ["--flex_start"]),
        ("nvidia-h100-80gb:4", "a3-highgpu-4g", ["--flex_start"]),
        ("nvidia-h100-80gb:8", "a3-highgpu-8g", []),
    ],
)
def test_every_accelerator_as_dataflow_receives_it(bucket, service, monkeypatch, accelerator, machine, more):
    # The steps say nothing about machines, and take longest to send: one is enough.
    monkeypatch.setattr("beam_job.cli.build", lambda pipeline, *job: pipeline | beam.Create([{}]))
    type_, _, count = accelerator.partition(":")
    shared = ["--share_gpu"] if count else []
    environment = submit(service, f"--accelerator={accelerator}", *more, *shared)
    assert environment["workerPools"][0]["machineType"] == machine
    assert environment["serviceOptions"] == [
        f"worker_accelerator=type:{type_};count:{count or 1};install-nvidia-driver"
        + (";use_nvidia_mps" if shared else "")
        + (";provisioning_model:FLEX_START" if more else "")
    ]
    assert ("use_multiple_sdk_containers" in environment["experiments"]) == bool(shared)


def test_every_accelerator_of_the_table_is_tested_above():
    (mark,) = test_every_accelerator_as_dataflow_receives_it.pytestmark
    tested = {Accelerator.parse(accelerator) for accelerator, *_ in mark.args[1]}
    table = {Accelerator(type_, count) for table in (ATTACHED, BUILT_IN) for type_ in table for count in table[type_]}
    assert table - tested == {Accelerator("nvidia-tesla-t4", 1)}, "the job of the first test"


def test_resource_hints_hold_for_every_step(bucket, service):
    accelerator = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
    environment = submit(service, f"--resource_hint=accelerator={accelerator}", "--resource_hint=min_ram=16GB")
    pipeline = pipeline_of(bucket, environment)
    (found,) = pipeline.components.environments.values()
    assert dict(found.resource_hints) == {
        "beam:resources:accelerator:v1": accelerator.encode(),
        "beam:resources:min_ram_bytes:v1": b"16000000000",
    }
    assert options_of(environment)["require_gpu"] is True, "a hint asks for a GPU, too"


def test_images_never_cross_a_shuffle(bucket, service):
    """Decoding and inference run in one environment, so that nothing parts them."""
    pipeline = pipeline_of(bucket, submit(service, "--accelerator=nvidia-l4"))
    transforms = pipeline.components.transforms.values()
    environments = {step.environment_id for step in transforms if step.environment_id}
    assert len(environments) == 1
    shuffles = {step.unique_name for step in transforms if step.spec.urn == "beam:transform:group_by_key:v1"}
    assert not [name for name in shuffles if "RunInference" in name or "FetchAndDecode" in name], shuffles


def test_a_flex_templates_launcher_writes_the_job_and_ends(bucket, service, capsys, monkeypatch):
    """The launcher passes every parameter as --name=value, switches too, and submits what the file holds by itself."""
    arguments_of_launcher = arguments(
        "--template_location=gs://bucket/staging/template_launches/1/job_object",
        "--job_name=nightly",
        "--recaption=true",
        "--attention=false",
        "--require_gpu=false",
        "--an_option_of_the_launchers_own=1",
        "--accelerator=nvidia-l4",
        service=service,
    )
    monkeypatch.setattr("sys.argv", ["main.py", *arguments_of_launcher])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("flex_template.main", run_name="__main__")
    assert ended.value.code == 0
    assert service.requests == []
    assert "gs://bucket/staging/template_launches/1/job_object" in capsys.readouterr().err
    job = json.loads(bucket.blob("staging/template_launches/1/job_object").download_as_bytes())
    assert job["name"] == "nightly"
    options = job["environment"]["sdkPipelineOptions"]["options"]
    assert (options["recaption"], options["attention"], options["require_gpu"]) == (True, False, False)
    assert "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver" in job["environment"]["serviceOptions"]


def test_the_image_gives_its_workers_itself(bucket, service, monkeypatch):
    monkeypatch.setenv("CAPTION_IMAGE", "europe-docker.pkg.dev/project/captioner/captioner:own")
    (pool,) = submit(service, "--accelerator=nvidia-l4", image=None)["workerPools"]
    assert pool["workerHarnessContainerImage"] == "europe-docker.pkg.dev/project/captioner/captioner:own"


def test_a_service_that_refuses_the_job(bucket, service, capsys):
    service.status = 403
    assert main(arguments(service=service)) == 1
    assert "failed: Forbidden: 403" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--accelerator=t4"], "--accelerator t4: write TYPE or TYPE:COUNT"),
        (["--accelerator=nvidia-l4:2"], "--accelerator nvidia-l4:2: each worker runs one process"),
        (["--accelerator=nvidia-l4:3", "--share_gpu"], "--accelerator nvidia-l4:3: no machine has 3 of them"),
        (["--accelerator=nvidia-tesla-v100"], "--accelerator nvidia-tesla-v100: this type is being retired"),
        (["--accelerator=nvidia-h100-80gb"], "a3-highgpu-1g is available as Spot or Flex-start only; add --flex_start"),
        (
            ["--accelerator=nvidia-l4", "--worker_machine_type=n1-standard-4"],
            "--worker_machine_type n1-standard-4: nvidia-l4:1 needs g2-standard-4,",
        ),
        (["--accelerator=nvidia-l4", "--flexrs_goal=COST_OPTIMIZED"], "FlexRS has no GPUs"),
        (
            ["--accelerator=nvidia-l4", "--resource_hint=min_ram=16GB"],
            "--resource_hint: Dataflow accepts resource hints or",
        ),
        (
            ["--accelerator=nvidia-l4", "--dataflow_service_options=worker_accelerator=type:nvidia-l4;count:1"],
            "names a worker_accelerator and so does --accelerator",
        ),
        (["--share_gpu"], "--share_gpu: this job asks for no GPU"),
        (["--flex_start"], "--flex_start: this job asks for no GPU"),
        (["--worker_machine_type=g2-standard-8"], "--worker_machine_type g2-standard-8: this machine has GPUs"),
        (["--machine_type=a2-highgpu-1g"], "--worker_machine_type a2-highgpu-1g: this machine has GPUs"),
        (["--images=photos/*.jpg"], "--images photos/*.jpg: Dataflow's workers cannot read local files"),
        (["--model=models/tiny"], "--model models/tiny: Dataflow's workers cannot read local files"),
        (["--output=captions"], "--output captions: Dataflow's workers cannot read local files"),
        (["--recaption=perhaps"], "--recaption=perhaps: this is a switch"),
        (
            ["--template_location=gs://bucket/template"],
            "--template_location gs://bucket/template: all launches of a classic template would be one run, and delete "
            "each other's captions; write a Flex Template with `./run_dataflow.sh template`.",
        ),
    ],
)
def test_refusals(bucket, service, capsys, more, message):
    for check in ([], ["--check"]):
        assert main(arguments(*more, *check, service=service)) == 2
        assert message in capsys.readouterr().err
    assert service.requests == []


@pytest.mark.parametrize("more", [["--accelerator=nvidia-l4"], ["--accelerator=nvidia-h100-80gb:8", "--share_gpu"]])
def test_a_check_asks_no_cloud(service, capsys, monkeypatch, more):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")  # nobody answers there
    assert main(arguments("--check", *more, service=service)) == 0
    assert "the options are valid" in capsys.readouterr().err
    assert service.requests == []


def test_workers_need_an_image_or_a_package(bucket, capsys):
    assert main(arguments(image=None)) == 2
    assert "--sdk_container_image is missing" in capsys.readouterr().err
    assert main(arguments("--setup_file=./setup.py", "--accelerator=nvidia-l4", image=None)) == 2
    assert "Beam's own image has no CUDA libraries" in capsys.readouterr().err


def test_gpus_are_asked_for_on_dataflow_alone(capsys):
    assert main(["--runner=DirectRunner", "--images=x", "--output=y", "--accelerator=nvidia-l4"]) == 2
    assert "--accelerator, --share_gpu and --flex_start are for Dataflow" in capsys.readouterr().err
