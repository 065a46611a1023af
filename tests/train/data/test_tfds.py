"""A real prepared ``coco_captions``, made small, read back by ``tfds.load``: trained on and measured."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_job.model.directory import open_model
from tests.train.colours import COLOURS, QUICK, SIZE, add_tiny_encoder, picture
from train.cli import main
from train.data.captions import CaptionsError, DataSet
from train.data.features import FeatureCache
from train.data.tfds_images import TfdsError, TfdsSplit

tfds = pytest.importorskip("tensorflow_datasets")
coco_captions = pytest.importorskip("tensorflow_datasets.object_detection.coco_captions")
SPLITS = {"train": 10, "restval": 6, "val": 4, "test": 5}


class CocoCaptions(coco_captions.CocoCaptions, skip_registration=True):  # type: ignore[misc]
    """The real builder, its name, version and features; only the photos are others."""

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        return {split: self._generate_examples(split, count) for split, count in SPLITS.items()}

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[str, dict[str, Any]]]:  # type: ignore[override]
        for number in range(count):
            colour = list(COLOURS)[number % len(COLOURS)]
            name = f"{split}-{number}.png"
            said = [f"A {colour} wall.", f"The wall is {colour}."]
            yield (
                name,
                {
                    "image": np.asarray(picture(colour, number)),
                    "image/filename": name,
                    "image/id": number,
                    "objects": [],
                    "captions": [{"id": place, "text": text} for place, text in enumerate(said)],
                },
            )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    CocoCaptions(data_dir=folder, config="2014").download_and_prepare()
    return folder


def test_the_features_are_those_of_the_real_one(data_dir: Path) -> None:
    info = tfds.builder("coco_captions", data_dir=data_dir).info
    assert info.full_name == "coco_captions/2014/1.1.0"
    assert set(info.features) == {"captions", "image", "image/filename", "image/id", "objects"}
    assert {name: split.num_examples for name, split in info.splits.items()} == SPLITS


def test_images_and_captions_of_two_splits(data_dir: Path) -> None:
    data = DataSet.parse("tfds:coco_captions:train+restval:3", data_dir)
    assert (data.name, data.weight, len(data.examples)) == ("tfds:coco_captions:train+restval", 3, 16)
    everything = list(tfds.as_numpy(tfds.load("coco_captions", split="train+restval", data_dir=data_dir)))
    expected = {record["image/filename"].decode(): record for record in everything}
    for image, captions in data.examples:
        record = expected[image.name]
        assert captions == tuple(text.decode() for text in record["captions"]["text"])
        assert image.read_bytes().startswith(b"\xff\xd8")  # JPEG, as prepared: nothing was decoded on the way


def test_images_in_any_order(data_dir: Path) -> None:
    split = TfdsSplit("coco_captions", "train", data_dir)
    images = [image for image, _ in split.examples()]
    in_order = [image.read_bytes() for image in images]
    assert len(set(in_order)) == 10
    for index in (3, 2, 9, 8, 0, 1, 0):
        assert images[index].read_bytes() == in_order[index]


def test_another_split_is_another_cache(data_dir: Path, tmp_path: Path) -> None:
    from tests.train.tiny_encoder import tiny_encoder

    def directory(split: str) -> Path:
        images = [image for image, _ in DataSet.parse(f"tfds:coco_captions:{split}", data_dir).examples]
        return FeatureCache(tmp_path, tiny_encoder(SIZE), images).directory

    assert directory("val") == directory("val")
    assert directory("val") != directory("test[:4]")


class NoMeteor:
    """In place of METEOR, which takes seconds to start; ``test_run`` has the real one."""

    def compute_score(self, *_: object) -> tuple[float, list[float]]:
        return 0.0, []


def test_trains_evaluates_and_exports(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny_encoder()
    monkeypatch.setattr("pycocoevalcap.meteor.meteor.Meteor", NoMeteor)
    common = ["--data_dir", str(data_dir), "--captions"]
    fit = ["fit", *common, "tfds:coco_captions:train+restval", "--dev", "tfds:coco_captions:val", "--encoder", "tiny"]
    fit += ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "model")]
    assert main([*fit, "--set", *QUICK, "decoder=reference"]) == 0
    model = open_model(tmp_path / "model")
    assert model.manifest.training["data_sets"][0]["images"] == 16
    assert len(model.manifest.training["dev_cider_by_epoch"]) == 3
    if shutil.which("java"):
        output = tmp_path / "found.json"
        evaluate = ["evaluate", *common, "tfds:coco_captions:test", "--model", str(tmp_path / "model")]
        assert main([*evaluate, "--output", str(output)]) == 0
        assert len(json.loads(output.read_text())["captions"]) == 5


def test_what_is_not_there_is_one_sentence(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(TfdsError, match=r"tfds:coco_captions:trian can't be loaded from .*tfds"):
        DataSet.parse("tfds:coco_captions:trian", data_dir)
    with pytest.raises(TfdsError, match="no_such_set"):
        DataSet.parse("tfds:no_such_set:train", tmp_path)
    with pytest.raises(CaptionsError, match="expected tfds:NAME:SPLIT"):
        DataSet.parse("tfds:coco_captions", data_dir)
