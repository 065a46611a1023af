"""GPUs as a machine without one can show them: TensorFlow's answers are a stand-in's, its graphs are real."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from beam_job import devices
from beam_job.cli import main
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import open_model
from beam_job.model.handler import CaptionHandler
from tests.photos import SAMPLES
from tests.tiny_model import write_tiny_model

no_gpu_here = pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_model(path)
    return path


@pytest.fixture
def gpu(monkeypatch):
    """A machine with GPUs of a given kind; yields what TensorFlow was told."""
    told = mock.Mock()

    def have(name, capability, count=1):
        found = [f"gpu {number}" for number in range(count)]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: found if kind == "GPU" else [])
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda gpu: {"device_name": name, "compute_capability": capability},
        )
        monkeypatch.setattr(tf.config, "set_visible_devices", told.see)
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", told.grow)
        monkeypatch.setattr(tf.config.optimizer, "set_experimental_options", told.optimize)
        return told

    return have


@no_gpu_here
@pytest.mark.parametrize("runner", ["DirectRunner", "direct"])
def test_require_gpu_on_a_machine_without_one(capsys, runner):
    """From the command line: non-zero, with a sentence that says what to do."""
    argv = ["--images", str(SAMPLES[0]), "--output", "/nowhere/captions", f"--runner={runner}", "--require_gpu"]
    assert main(argv) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("beam_job: --require_gpu: TensorFlow sees no GPU here. Look at `nvidia-smi`")
    assert "--no_require_gpu" in last


@no_gpu_here
def test_a_worker_without_the_gpu_that_was_asked_for_captions_nothing(model):
    handler = CaptionHandler(str(model), open_model(model).fingerprint, Decoding(), 2, require_gpu=True)
    with pytest.raises(devices.NoGpuError, match="TensorFlow sees no GPU here"):
        handler.load_model()


def test_a_gpu_made_for_it_computes_in_half_precision(gpu):
    told = gpu("Tesla T4", (7, 5))
    assert devices.prepare() == "Tesla T4, float16"
    told.grow.assert_called_once_with("gpu 0", True)
    told.optimize.assert_called_once_with({"auto_mixed_precision": True})


@pytest.mark.parametrize(
    ("worker", "own"), [("sdk-0-0", "gpu 0"), ("sdk-0-1", "gpu 1"), ("sdk-0-6", "gpu 0"), ("", "gpu 0")]
)
def test_worker_processes_share_out_the_gpus(gpu, monkeypatch, worker, own):
    monkeypatch.setenv("WORKER_ID", worker)
    told = gpu("NVIDIA L4", (8, 9), count=2)
    assert devices.prepare() == "NVIDIA L4, float16"
    told.see.assert_called_once_with(own, "GPU")
    told.grow.assert_called_once_with(own, True)


def test_older_gpus_and_full_precision(gpu):
    told = gpu("Tesla P100", (6, 0))
    assert devices.prepare() == "Tesla P100, float32"
    told.optimize.assert_called_once_with({"auto_mixed_precision": False})
    gpu("NVIDIA L4", (8, 9))
    assert devices.prepare(full_precision=True) == "NVIDIA L4, float32"


def test_a_gpu_that_this_process_uses_already(gpu):
    told = gpu("NVIDIA L4", (8, 9))
    told.grow.side_effect = RuntimeError("Physical devices cannot be modified after being initialized")
    assert devices.prepare() == "NVIDIA L4, float16"


def test_the_captions_survive_half_precision(model):
    """The rewriting that a GPU's graphs get, tried on the CPU: the same words, nearly the same score."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, [16, 16, 3], np.uint8) for _ in range(16)]
    uris = [str(number) for number in range(16)]
    full = Captioner(open_model(model), Decoding(), 16).caption(images, uris)
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_cpu": True})
    try:
        half = Captioner(open_model(model), Decoding(), 16).caption(images, uris)
    finally:
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_cpu": False})
    same = [a[0].tokens == b[0].tokens for a, b in zip(full, half, strict=True)]
    assert sum(same) >= 15
    scores = [[captions[0].score for captions in found] for found in (full, half)]
    np.testing.assert_allclose(*scores, atol=0.02)


def test_the_gpu_options_belong_together(capsys):
    assert main(["--images=x", "--output=y", "--share_gpu", "--runner=DirectRunner"]) == 2
    assert "--accelerator, --share_gpu and --flex_start are for Dataflow" in capsys.readouterr().err
