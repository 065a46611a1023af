"""The exported weights lie between those after the first stage and those after the second."""

from pathlib import Path

import numpy as np
import pytest

from beam_job.model.directory import OpenModel, open_model
from tests.train.colours import QUICK, add_tiny_encoder, write_colours
from train.cli import main


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    add_tiny_encoder()
    return write_colours(tmp_path_factory.mktemp("data"))


def weights(model: OpenModel) -> dict[str, np.ndarray]:
    with np.load(model.directory / "weights.npz") as stored:
        return dict(stored)


def two_stages(captions: Path, output: Path, share: str, *more: str) -> OpenModel:
    """Trained in both stages with a decoder that is built in no time; the exported weights are between them."""
    data = ["fit", "--captions", str(captions), "--encoder", "tiny", "--cache", str(captions.parent / "cache")]
    settings = ["decoder=reference", "self_critical_epochs=1", f"self_critical_interpolation={share}"]
    assert main([*data, "--output", str(output), "--set", *QUICK, *settings, *more]) == 0
    return open_model(output)


def test_a_share_of_the_second_stage_lies_between_both(captions: Path, tmp_path: Path) -> None:
    # Without dev photos no epoch is the best, and the second stage ends where it is.
    shares = ("0.0", "0.5", "1.0")
    first, half, all_of_it = (weights(two_stages(captions, tmp_path / share, share, "epochs=2")) for share in shares)
    apart = [name for name in first if not np.array_equal(first[name], all_of_it[name])]
    assert any(name.startswith("decoder/") for name in apart)
    for name in first:
        np.testing.assert_allclose(half[name], (first[name].astype(float) + all_of_it[name]) / 2, rtol=2e-3, atol=1e-5)
    assert not any(name.startswith("encoder/") for name in apart)


def test_what_is_mixed_is_measured(captions: Path, tmp_path: Path) -> None:
    training = two_stages(captions, tmp_path / "model", "0.5", "epochs=8", "--dev", str(captions)).manifest.training
    assert training["dev_cider"] > 0
