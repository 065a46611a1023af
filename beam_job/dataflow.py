"""Google Cloud Dataflow: what a job needs there beyond its pipeline. Everything is checked before it is submitted."""

import os
import re
from dataclasses import dataclass

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)

from beam_job.options import CaptionOptions, OptionError

# GPU type -> the machine family that takes it, and the machine that goes with one GPU where none is named.
# https://cloud.google.com/compute/docs/gpus
MACHINES = {
    "nvidia-tesla-t4": ("n1", "n1-standard-4"),
    "nvidia-tesla-v100": ("n1", "n1-standard-8"),
    "nvidia-tesla-p100": ("n1", "n1-standard-8"),
    "nvidia-tesla-p4": ("n1", "n1-standard-4"),
    "nvidia-l4": ("g2", "g2-standard-4"),
    "nvidia-tesla-a100": ("a2", "a2-highgpu-1g"),
    "nvidia-a100-80gb": ("a2", "a2-ultragpu-1g"),
    "nvidia-h100-80gb": ("a3", "a3-highgpu-1g"),
}
DISK_GB = 100  # the image with its CUDA libraries takes about 15 GB unpacked; Dataflow's own 25 GB are soon full

OWN_IMAGE = "CAPTION_IMAGE"  # set inside our image to its own name

_ONE_PROCESS = "no_use_multiple_sdk_containers"


@dataclass(frozen=True)
class Accelerator:
    """The GPUs of each worker."""

    type: str
    count: int

    @classmethod
    def parse(cls, text: str) -> "Accelerator":
        """Reads ``TYPE`` or ``TYPE:COUNT``; raises ``OptionError``."""
        match = re.fullmatch(r"([a-z0-9-]+)(?::([1-9][0-9]?))?", text)
        if not match or match[1] not in MACHINES:
            raise OptionError(
                f"--accelerator {text}: write TYPE or TYPE:COUNT, such as nvidia-l4 or nvidia-tesla-t4:2; "
                f"the types are {', '.join(MACHINES)}."
            )
        return cls(match[1], int(match[2] or 1))

    def service_option(self, *, shared: bool) -> str:
        """The Dataflow service option that gives every worker these GPUs and their driver."""
        sharing = ";use_nvidia_mps" if shared else ""
        return f"worker_accelerator=type:{self.type};count:{self.count};install-nvidia-driver{sharing}"


def is_dataflow(options: CaptionOptions) -> bool:
    return (options.view_as(StandardOptions).runner or "").rpartition(".")[2].lower() in ("dataflow", "dataflowrunner")


def wants_gpu(options: CaptionOptions) -> bool:
    """Whether the job asks Dataflow for GPUs, by our option or by one of Beam's."""
    cloud = options.view_as(GoogleCloudOptions)
    asked = [*(cloud.dataflow_service_options or []), *(options.view_as(DebugOptions).experiments or [])]
    named = any("worker_accelerator" in text for text in asked)
    return bool(options.accelerator) or named or bool(_hints(options, "accelerator"))


def prepare(options: CaptionOptions) -> None:
    """Checks the options for Dataflow and completes them; raises ``OptionError``.

    GPUs are asked for by job, not by stage: a resource hint on the inference stage alone would part it from the one
    that decodes, and every image would cross a shuffle as pixels.
    """
    _refuse_local_paths(options)
    worker, setup = options.view_as(WorkerOptions), options.view_as(SetupOptions)
    if not setup.setup_file:  # a Flex Template's launcher runs in the image that its workers need
        worker.sdk_container_image = worker.sdk_container_image or os.environ.get(OWN_IMAGE)
    if not worker.sdk_container_image and not setup.setup_file:
        raise OptionError(
            "--sdk_container_image is missing: Dataflow's workers need an image that holds this package. Build it with "
            "`./run_dataflow.sh build`; for a CPU job from a checkout --setup_file=./setup.py does, too."
        )
    if worker.sdk_container_image and setup.sdk_location == "default":
        setup.sdk_location = "container"  # the image holds Beam: nothing is to be staged
    if options.require_gpu is None:
        options.require_gpu = wants_gpu(options)
    if options.accelerator:
        _add_gpus(options, Accelerator.parse(options.accelerator))
    elif options.share_gpu:
        raise OptionError("--share_gpu: there is no GPU to share; add --accelerator TYPE.")


def _add_gpus(options: CaptionOptions, accelerator: Accelerator) -> None:
    worker, cloud = options.view_as(WorkerOptions), options.view_as(GoogleCloudOptions)
    if not worker.sdk_container_image:
        raise OptionError(
            f"--accelerator {options.accelerator}: Beam's own image has no CUDA libraries; build one with "
            "`./run_dataflow.sh build` and name it by --sdk_container_image."
        )
    if accelerator.count > 1 and not options.share_gpu:
        raise OptionError(
            f"--accelerator {options.accelerator}: a process uses one GPU, and each worker runs one; add --share_gpu, "
            "or take more workers with a GPU each."
        )
    if cloud.flexrs_goal:
        raise OptionError(f"--flexrs_goal {cloud.flexrs_goal}: FlexRS has no GPUs; drop it or --accelerator.")
    if _hints(options):
        raise OptionError(
            "--resource_hint: Dataflow takes resource hints or --accelerator, not both; drop one of them "
            '(the hint accelerator="type:...;count:...;install-nvidia-driver" does the same for the whole job).'
        )
    if any("worker_accelerator" in text for text in cloud.dataflow_service_options or []):
        raise OptionError("--dataflow_service_options names a worker_accelerator and so does --accelerator; drop one.")
    family, machine = MACHINES[accelerator.type]
    if not worker.machine_type:
        worker.machine_type = machine
    if not worker.machine_type.startswith((f"{family}-", f"custom-{family}-")):
        raise OptionError(
            f"--worker_machine_type {worker.machine_type}: {accelerator.type} goes with {family} machines, "
            f"such as {machine}."
        )
    worker.disk_size_gb = worker.disk_size_gb or DISK_GB
    cloud.dataflow_service_options = [
        *(cloud.dataflow_service_options or []),
        accelerator.service_option(shared=options.share_gpu),
    ]
    if not options.share_gpu:
        options.view_as(DebugOptions).add_experiment(_ONE_PROCESS)


def _hints(options: CaptionOptions, name: str = "") -> list[str]:
    return [hint for hint in options.view_as(StandardOptions).resource_hints or [] if hint.startswith(name)]


def _refuse_local_paths(options: CaptionOptions) -> None:
    named = [("images", path) for path in options.images] + [("uris", path) for path in options.uris]
    named += [("output", options.output), ("model", options.model)]
    for name, path in named:
        if path and "://" not in path:
            raise OptionError(f"--{name} {path}: Dataflow's workers see no local files; put it into gs://.")
