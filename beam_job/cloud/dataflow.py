"""Google Cloud Dataflow: the options that a job needs there. Everything is checked before the job is submitted."""

import os

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)

from beam_job.cloud.accelerators import FLEX_START_ONLY, Accelerator, has_gpus
from beam_job.messages.quoting import shown
from beam_job.options import CaptionOptions
from beam_job.terminal.arguments import OptionError

DISK_GB = 100  # the image with its CUDA libraries takes about 15 GB unpacked; Dataflow's own 25 GB are soon full

OWN_IMAGE = "CAPTION_IMAGE"  # set inside our image to its own name

_ONE_PROCESS = "no_use_multiple_sdk_containers"


def wants_gpu(options: CaptionOptions) -> bool:
    """Whether the job asks Dataflow for GPUs, by our option or by one of Beam's."""
    cloud = options.view_as(GoogleCloudOptions)
    asked = [*(cloud.dataflow_service_options or []), *(options.view_as(DebugOptions).experiments or [])]
    named = any("worker_accelerator" in text for text in asked)
    return bool(options.accelerator) or named or bool(_hints(options, "accelerator"))


def prepare(options: CaptionOptions) -> None:
    """Checks the options for Dataflow and completes them; raises ``OptionError``.

    GPUs are requested for the job, not for a stage: a resource hint on the inference stage alone would separate it from
      the stage that decodes, and the pixels of every image would go through a shuffle.
    """
    _refuse_local_paths(options)
    worker, setup = options.view_as(WorkerOptions), options.view_as(SetupOptions)
    if not setup.setup_file:  # a Flex Template's launcher runs in the image that its workers need
        worker.sdk_container_image = worker.sdk_container_image or os.environ.get(OWN_IMAGE)
    if not worker.sdk_container_image and not setup.setup_file:
        raise OptionError(
            "--sdk_container_image is missing: Dataflow's workers need an image that contains this package. Build it "
            "with `./run_dataflow.sh build`; for a CPU job from a checkout, --setup_file=./setup.py works too."
        )
    if worker.sdk_container_image and setup.sdk_location == "default":
        setup.sdk_location = "container"  # the image holds Beam: nothing is to be staged
    if options.require_gpu is None:
        options.require_gpu = wants_gpu(options)
    if options.accelerator:
        _add_gpus(options, Accelerator.parse(options.accelerator))
    elif options.share_gpu or options.flex_start:
        name = "--share_gpu" if options.share_gpu else "--flex_start"
        raise OptionError(f"{name}: this job asks for no GPU; add --accelerator TYPE.")
    elif has_gpus(worker.machine_type or "") and not wants_gpu(options):
        raise OptionError(
            f"--worker_machine_type {shown(worker.machine_type, 60)}: this machine has GPUs, but the job asks for "
            "none; add --accelerator TYPE, or choose another machine."
        )


def _add_gpus(options: CaptionOptions, accelerator: Accelerator) -> None:
    worker, cloud = options.view_as(WorkerOptions), options.view_as(GoogleCloudOptions)
    if not worker.sdk_container_image:
        raise OptionError(
            f"--accelerator {options.accelerator}: Beam's own image has no CUDA libraries; build one with "
            "`./run_dataflow.sh build` and name it with --sdk_container_image."
        )
    if accelerator.count > 1 and not options.share_gpu:
        raise OptionError(
            f"--accelerator {options.accelerator}: each worker runs one process, which uses one GPU; add "
            "--share_gpu, or use more workers with one GPU each."
        )
    if cloud.flexrs_goal:
        raise OptionError(f"--flexrs_goal {cloud.flexrs_goal}: FlexRS has no GPUs; drop it or --accelerator.")
    if _hints(options):
        raise OptionError(
            "--resource_hint: Dataflow accepts resource hints or --accelerator, not both; drop one of them "
            '(the hint accelerator="type:...;count:...;install-nvidia-driver" does the same for the whole job).'
        )
    if any("worker_accelerator" in text for text in cloud.dataflow_service_options or []):
        raise OptionError("--dataflow_service_options names a worker_accelerator and so does --accelerator; drop one.")
    worker.machine_type = accelerator.machine(worker.machine_type)
    if worker.machine_type in FLEX_START_ONLY and not options.flex_start:
        raise OptionError(
            f"--accelerator {options.accelerator}: {worker.machine_type} is available as Spot or Flex-start only; "
            f"add --flex_start, which waits for a free machine, or choose {accelerator.type}:8."
        )
    worker.disk_size_gb = worker.disk_size_gb or DISK_GB
    cloud.dataflow_service_options = [
        *(cloud.dataflow_service_options or []),
        accelerator.service_option(shared=options.share_gpu, flex_start=options.flex_start),
    ]
    if not options.share_gpu:
        options.view_as(DebugOptions).add_experiment(_ONE_PROCESS)


def _hints(options: CaptionOptions, name: str = "") -> list[str]:
    return [hint for hint in options.view_as(StandardOptions).resource_hints or [] if hint.startswith(name)]


def _refuse_local_paths(options: CaptionOptions) -> None:
    named = [("images", path) for path in options.images] + [("uris", path) for path in options.uris]
    named += [("output", options.output), ("model", options.model)]
    for name, path in named:
        if path and ("://" not in path or path.lower().startswith("file://")):
            raise OptionError(f"--{name} {shown(path)}: Dataflow's workers cannot read local files; use a gs:// path.")
