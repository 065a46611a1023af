"""The GPUs that a Dataflow worker can have, and the machines that have them.

The types that Dataflow supports are listed at https://cloud.google.com/dataflow/docs/gpu/gpu-support, the machines with
their numbers of GPUs at https://cloud.google.com/compute/docs/gpus.
"""

import re
from dataclasses import dataclass

from beam_job.messages.quoting import shown
from beam_job.terminal.arguments import OptionError

# Type -> number of GPUs -> the machines that have exactly so many. The first is the default.
BUILT_IN: dict[str, dict[int, tuple[str, ...]]] = {
    "nvidia-l4": {
        1: ("g2-standard-4", "g2-standard-8", "g2-standard-12", "g2-standard-16", "g2-standard-32"),
        2: ("g2-standard-24",),
        4: ("g2-standard-48",),
        8: ("g2-standard-96",),
    },
    "nvidia-rtx-pro-6000": {
        1: ("g4-standard-48",),
        2: ("g4-standard-96",),
        4: ("g4-standard-192",),
        8: ("g4-standard-384",),
    },
    "nvidia-tesla-a100": {
        1: ("a2-highgpu-1g",),
        2: ("a2-highgpu-2g",),
        4: ("a2-highgpu-4g",),
        8: ("a2-highgpu-8g",),
        16: ("a2-megagpu-16g",),
    },
    "nvidia-a100-80gb": {
        1: ("a2-ultragpu-1g",),
        2: ("a2-ultragpu-2g",),
        4: ("a2-ultragpu-4g",),
        8: ("a2-ultragpu-8g",),
    },
    "nvidia-h100-80gb": {
        1: ("a3-highgpu-1g",),
        2: ("a3-highgpu-2g",),
        4: ("a3-highgpu-4g",),
        8: ("a3-highgpu-8g",),
    },
}
# GPUs that are attached to N1 machines: type -> number -> the default machine, and the most vCPUs beside so many GPUs.
ATTACHED: dict[str, dict[int, tuple[str, int]]] = {
    "nvidia-tesla-t4": {1: ("n1-standard-4", 48), 2: ("n1-standard-8", 48), 4: ("n1-standard-16", 96)},
}
TYPES = (*ATTACHED, *BUILT_IN)

# Compute Engine starts these as Spot or Flex-start only, and Dataflow has no Spot machines with GPUs.
FLEX_START_ONLY = ("a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g")

# Pascal and Volta: NVIDIA's driver branch 580 is the last for them, and Google is taking them out of service.
_RETIRED = ("nvidia-tesla-p4", "nvidia-tesla-p100", "nvidia-tesla-v100")


@dataclass(frozen=True)
class Accelerator:
    """The GPUs of each worker."""

    type: str
    count: int

    @classmethod
    def parse(cls, text: str) -> "Accelerator":
        """Reads ``TYPE`` or ``TYPE:COUNT``; raises ``OptionError`` if no machine has that number of them."""
        asked = f"--accelerator {shown(text, 60)}"
        match = re.fullmatch(r"([a-z0-9-]+)(?::(0|[1-9][0-9]{0,2}))?", text, re.ASCII)
        if match and match[1] in _RETIRED:
            raise OptionError(
                f"{asked}: this type is being retired, and NVIDIA's newer drivers no longer support it; "
                "choose nvidia-tesla-t4 or nvidia-l4."
            )
        if not match or match[1] not in TYPES:
            raise OptionError(
                f"{asked}: write TYPE or TYPE:COUNT, such as nvidia-l4 or nvidia-tesla-t4:2; "
                f"the types are {', '.join(TYPES)}."
            )
        count = int(match[2] or 1)
        counts = ATTACHED.get(match[1]) or BUILT_IN[match[1]]
        if count not in counts:
            raise OptionError(f"{asked}: no machine has {count} of them; choose {_either(list(map(str, counts)))}.")
        return cls(match[1], count)

    def __str__(self) -> str:
        return f"{self.type}:{self.count}"

    def machine(self, wanted: str | None) -> str:
        """The worker's machine type: ``wanted`` if it can have these GPUs, the default if it is empty.

        Raises ``OptionError`` if that machine has another number of GPUs or another type.
        """
        if self.type in ATTACHED:
            default, most = ATTACHED[self.type][self.count]
            fits = not wanted or 0 < _n1_vcpus(wanted) <= most
            allowed = f"N1 machines of at most {most} vCPUs, such as {default}"
        else:
            machines = BUILT_IN[self.type][self.count]
            default = machines[0]
            fits = not wanted or _predefined(wanted) in machines
            allowed = _either(list(machines))
        if not fits:
            raise OptionError(
                f"--worker_machine_type {shown(wanted, 60)}: {self} needs {allowed}; "
                "leave the option out to get the default."
            )
        return wanted or default

    def service_option(self, *, shared: bool, flex_start: bool) -> str:
        """The Dataflow service option that gives every worker these GPUs and their driver."""
        sharing = ";use_nvidia_mps" if shared else ""
        provisioning = ";provisioning_model:FLEX_START" if flex_start else ""
        return f"worker_accelerator=type:{self.type};count:{self.count};install-nvidia-driver{sharing}{provisioning}"


def has_gpus(machine: str) -> bool:
    """Whether a machine is of a family with built-in GPUs, which are paid for whether they are used or not."""
    return re.match(r"(a2|a3|a4|a4x|g2|g4)-", machine) is not None


def _n1_vcpus(machine: str) -> int:
    """vCPUs of an N1 machine; 0 for any other."""
    predefined = re.fullmatch(r"n1-(?:standard|highmem|highcpu)-([0-9]{1,3})", machine)
    custom = re.fullmatch(r"(?:n1-)?custom-([0-9]{1,3})-[0-9]+(?:-ext)?", machine)
    match = predefined or custom
    return int(match[1]) if match else 0


def _predefined(machine: str) -> str:
    """Of a G2 machine with custom memory the predefined one with as many vCPUs, and so as many GPUs."""
    return re.sub(r"^g2-custom-([0-9]+)-[0-9]+$", r"g2-standard-\1", machine)


def _either(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
