"""When a run is the one that was interrupted, and resumes: only if all that it learns from is the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from beam_job.images.pixels.formats import heif
from tests.images import heic
from tests.tiny_model import LABELS
from tests.train.colours import QUICK, write_colours
from tests.train.tiny_encoder import tiny_encoder
from train.data.captions import DataSet
from train.fitting.checkpoint import Checkpoint
from train.models.classifier import Classifier
from train.recipe import DEFAULT, with_settings
from train.run import train


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that begin; none gets as far as a step."""
    runs: list[str] = []

    def stop(inputs: object, learner: object, recipe: object, checkpoints: list[Checkpoint], *_: int, **__: object):
        runs.append(checkpoints[0].file.name)
        raise KeyboardInterrupt

    monkeypatch.setattr("train.run._run_stages", stop)
    return runs


def test_a_run_with_another_classifier_is_another_run(captions: Path, begun: list[str], tmp_path: Path) -> None:
    data = [DataSet.parse(str(captions))]
    for bias in (None, 0.0, 0.0, 1.0):
        encoder, recipe = tiny_encoder(), with_settings(DEFAULT, QUICK)
        if bias is not None:
            weights = np.ones([5, 2], np.float32), np.ones([2, 6], np.float32), np.full(6, bias, np.float32)
            encoder = encoder._replace(classifier=Classifier(*weights, LABELS))
        with pytest.raises(KeyboardInterrupt):
            train(data, encoder, recipe, tmp_path / "model", cache=tmp_path, seed=0, licence="")
    assert begun[1] == begun[2]
    assert len(set(begun)) == 3


def test_a_run_with_a_dev_photo_that_could_not_be_read_before_is_another_run(
    captions: Path, begun: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    (tmp_path / "phone.heic").write_bytes(heic().data)
    photos = ("phone.heic", str(captions.parent / "red-0.png"))
    dev = tmp_path / "dev.jsonl"
    dev.write_text("\n".join(json.dumps({"image": photo, "captions": ["a red wall"]}) for photo in photos))
    data, dev_sets = [DataSet.parse(str(captions))], [DataSet.parse(str(dev))]
    for installed in (None, None, pillow_heif):
        monkeypatch.setattr(heif, "pillow_heif", installed)
        encoder, recipe, output = tiny_encoder(), with_settings(DEFAULT, QUICK), tmp_path / "model"
        with pytest.raises(KeyboardInterrupt):
            train(data, encoder, recipe, output, cache=tmp_path, seed=0, licence="", dev_sets=dev_sets)
    assert begun[0] == begun[1] != begun[2]
