"""Mixed precision: what is chosen for which device, and that it is on in training only."""

import os
from unittest import mock

import pytest
import tensorflow as tf

from beam_job import devices
from train.fitting import precision
from train.fitting.optimizer import adam
from train.fitting.precision import Precision, best_precision, mixed


@pytest.mark.parametrize(
    ("abilities", "expected"), [([(7, 5)], "float16"), ([(8, 0), (6, 1)], "float32"), ([(6, 1)], "float32")]
)
def test_gpus_with_tensor_cores_take_float16(abilities: list[tuple[int, int]], expected: Precision) -> None:
    with (
        mock.patch.object(precision, "gpus", return_value=abilities),
        mock.patch.object(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": gpu}),
    ):
        assert best_precision() == expected


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("GenuineIntel", "fpu avx512f avx512_bf16 amx_bf16 amx_tile", "bfloat16"),
        ("AuthenticAMD", "fpu avx512f avx512_bf16", "bfloat16"),
        ("GenuineIntel", "fpu avx512f avx512_bf16", "float32"),  # AMX is not there, or hidden by a virtual machine
        ("AuthenticAMD", "fpu avx2", "float32"),
    ],
)
def test_cpus_take_bfloat16_where_it_is_faster(vendor: str, flags: str, expected: Precision) -> None:
    with mock.patch.object(precision, "gpus", return_value=[]), mock.patch.object(devices, "Path") as path:
        path.return_value.read_text.return_value = f"processor : 0\nvendor_id : {vendor}\nflags : {flags}\nbugs :\n"
        assert best_precision() == expected


@pytest.mark.parametrize("chosen", ["float16", "bfloat16", "float32"])
def test_it_is_on_in_training_only(chosen: Precision) -> None:
    def on() -> set[str]:
        options = tf.config.optimizer.get_experimental_options()
        return {name for name, value in options.items() if name.startswith("auto_mixed_precision") and value}

    with mixed(chosen):
        assert len(on()) == (chosen != "float32")
    assert not on()


@pytest.mark.parametrize("before", [None, "MatMul"])
def test_depthwise_convolutions_stay_in_single_precision(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_REMOVE"
    monkeypatch.delenv(name, raising=False)
    if before:
        monkeypatch.setenv(name, before)
    with mixed("bfloat16"):
        inside = os.environ[name].split(",")
    assert "DepthwiseConv2dNativeBackpropInput" in inside
    assert before is None or before in inside
    assert os.environ.get(name) == before


def test_a_narrow_range_gets_a_loss_scale() -> None:
    assert float(adam(1e-3, None, "float16").scale_loss(tf.constant(1.0))) > 1000
    assert float(adam(1e-3, None, "bfloat16").scale_loss(tf.constant(1.0))) == 1
