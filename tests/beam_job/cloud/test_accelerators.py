"""GPUs of Dataflow's workers: each number of them on a machine that has so many."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_job.cloud.accelerators import ATTACHED, BUILT_IN, FLEX_START_ONLY, TYPES, Accelerator
from beam_job.terminal.arguments import OptionError


def gpus_of(machine):
    """GPUs that come with a machine, by the rules of https://cloud.google.com/compute/docs/gpus."""
    if match := re.fullmatch(r"a[23]-\w+gpu-(\d+)g", machine):  # the name says it
        return int(match[1])
    if match := re.fullmatch(r"g4-standard-(\d+)", machine):  # 48 vCPUs for each
        return int(match[1]) // 48
    return {4: 1, 8: 1, 12: 1, 16: 1, 24: 2, 32: 1, 48: 4, 96: 8}[int(machine.removeprefix("g2-standard-"))]


FAMILIES = {
    "nvidia-tesla-t4": r"n1-standard-\d+",
    "nvidia-l4": r"g2-standard-\d+",
    "nvidia-rtx-pro-6000": r"g4-standard-\d+",
    "nvidia-tesla-a100": r"a2-(highgpu|megagpu)-\d+g",
    "nvidia-a100-80gb": r"a2-ultragpu-\d+g",
    "nvidia-h100-80gb": r"a3-highgpu-\d+g",
}
EACH = [(type_, count) for table in (ATTACHED, BUILT_IN) for type_ in table for count in table[type_]]


def test_every_type_has_its_family():
    assert set(FAMILIES) == set(TYPES)


@pytest.mark.parametrize(("type_", "count"), EACH)
def test_each_number_of_gpus_gets_a_machine_that_has_so_many(type_, count):
    machine = Accelerator.parse(f"{type_}:{count}").machine(None)
    assert re.fullmatch(FAMILIES[type_], machine)
    if type_ in BUILT_IN:
        assert [gpus_of(name) for name in BUILT_IN[type_][count]] == [count] * len(BUILT_IN[type_][count])


def test_machines_that_start_as_flex_start_only_are_in_the_table():
    assert {*FLEX_START_ONLY} < {name for counts in BUILT_IN.values() for names in counts.values() for name in names}


def test_one_is_the_default_number():
    assert Accelerator.parse("nvidia-l4") == Accelerator.parse("nvidia-l4:1") == Accelerator("nvidia-l4", 1)


@pytest.mark.parametrize(
    ("accelerator", "machine"),
    [
        ("nvidia-l4", "g2-standard-32"),
        ("nvidia-l4:2", "g2-standard-24"),
        ("nvidia-l4", "g2-custom-8-40960"),
        ("nvidia-l4:2", "g2-custom-24-98304"),
        ("nvidia-tesla-t4", "n1-highmem-8"),
        ("nvidia-tesla-t4", "custom-12-49152"),
        ("nvidia-tesla-t4", "n1-custom-12-49152"),
        ("nvidia-tesla-t4:4", "n1-standard-96"),
        ("nvidia-tesla-a100:16", "a2-megagpu-16g"),
    ],
)
def test_machines_that_fit(accelerator, machine):
    assert Accelerator.parse(accelerator).machine(machine) == machine


@pytest.mark.parametrize(
    ("accelerator", "machine", "instead"),
    [
        ("nvidia-l4", "n1-standard-4", "g2-standard-4, g2-standard-8,"),
        ("nvidia-l4", "g2-standard-24", "g2-standard-4, g2-standard-8,"),  # it has two
        ("nvidia-l4:2", "g2-standard-4", "g2-standard-24;"),  # it has one
        ("nvidia-l4:2", "g2-custom-8-40960", "g2-standard-24;"),
        ("nvidia-rtx-pro-6000", "g4-standard-24", "g4-standard-48;"),  # it has half a one
        ("nvidia-tesla-a100", "a2-ultragpu-1g", "a2-highgpu-1g;"),  # its GPU has 80 GB
        ("nvidia-a100-80gb", "a2-highgpu-1g", "a2-ultragpu-1g;"),
        ("nvidia-h100-80gb:8", "a3-megagpu-8g", "a3-highgpu-8g;"),
        ("nvidia-tesla-t4", "n1-standard-64", "N1 machines of at most 48 vCPUs"),
        ("nvidia-tesla-t4", "n2-standard-4", "N1 machines"),
        ("nvidia-tesla-t4", "n2-custom-4-8192", "N1 machines"),
        ("nvidia-tesla-t4", "g1-small", "N1 machines"),
        ("nvidia-tesla-t4", "n1-standard-0", "N1 machines"),
        ("nvidia-tesla-t4", "n1-standard-4\n", "N1 machines"),
    ],
)
def test_machines_that_have_others_or_another_number(accelerator, machine, instead):
    with pytest.raises(OptionError, match=rf"^--worker_machine_type \S+: {accelerator}.* needs {instead}"):
        Accelerator.parse(accelerator).machine(machine)


@pytest.mark.parametrize(
    ("accelerator", "message"),
    [
        ("nvidia-l4:3", "no machine has 3 of them; choose 1, 2, 4 or 8"),
        ("nvidia-l4:0", "no machine has 0 of them"),
        ("nvidia-tesla-t4:8", "no machine has 8 of them; choose 1, 2 or 4"),
        ("nvidia-h100-80gb:16", "no machine has 16 of them; choose 1, 2, 4 or 8"),
        ("nvidia-tesla-v100", "this type is being retired"),
        ("nvidia-tesla-p4:2", "this type is being retired"),
        ("nvidia-tesla-p100", "this type is being retired"),
        ("nvidia-b200:8", "write TYPE or TYPE:COUNT"),  # Dataflow does not take it
        ("t4", "write TYPE or TYPE:COUNT"),
        ("NVIDIA-L4", "write TYPE or TYPE:COUNT"),
        ("nvidia-l4:two", "write TYPE or TYPE:COUNT"),
        ("nvidia-l4:-1", "write TYPE or TYPE:COUNT"),
        ("nvidia-l4;count:2", "write TYPE or TYPE:COUNT"),
        ("", "write TYPE or TYPE:COUNT"),
    ],
)
def test_what_no_worker_can_have(accelerator, message):
    with pytest.raises(OptionError, match=f"^--accelerator {re.escape(accelerator)}: {re.escape(message)}"):
        Accelerator.parse(accelerator)


@given(st.text() | st.from_regex(r"nvidia-(l4|tesla-t4):[0-9]{0,5}", fullmatch=True))
def test_any_text_is_one_of_the_table_or_refused_in_a_line(text):
    if text in {f"{type_}:{count}" for type_, count in EACH} | {*TYPES}:
        assert str(Accelerator.parse(text)).startswith(text)
        return
    with pytest.raises(OptionError) as caught:
        Accelerator.parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 900


def test_the_service_option():
    found = Accelerator("nvidia-h100-80gb", 4)
    assert found.service_option(shared=False, flex_start=False) == (
        "worker_accelerator=type:nvidia-h100-80gb;count:4;install-nvidia-driver"
    )
    assert found.service_option(shared=True, flex_start=True) == (
        "worker_accelerator=type:nvidia-h100-80gb;count:4;install-nvidia-driver"
        ";use_nvidia_mps;provisioning_model:FLEX_START"
    )
