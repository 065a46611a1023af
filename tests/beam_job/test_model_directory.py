"""The exported model directory: what is written can be read, and what was touched is refused."""

import json
from pathlib import Path

import pytest

from beam_job.model_directory import Manifest, ModelError, open_model, read_manifest, write_model
from tests.tiny_model import tiny_vocabulary, write_tiny_model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_model(path)
    return path


@pytest.fixture
def model(exported, tmp_path):
    """A copy to spoil."""
    target = tmp_path / "model"
    for path in exported.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(exported)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return target


def change_manifest(model: Path, **fields) -> None:
    path = model / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_what_was_written_is_read(exported):
    model = open_model(exported)
    assert model.vocabulary.tokens == tiny_vocabulary().tokens
    assert (model.manifest.image.height, model.manifest.max_caption_length, model.manifest.encoder) == (16, 12, "tiny")
    assert json.loads((exported / "manifest.json").read_text())["fingerprint"] == model.fingerprint
    assert open_model(exported, fingerprint=model.fingerprint).fingerprint == model.fingerprint


def test_metrics_may_be_added_without_a_new_fingerprint(model):
    before = open_model(model).fingerprint
    change_manifest(model, metrics={"BLEU-4": 18.5})
    assert open_model(model).fingerprint == before
    assert open_model(model).manifest.metrics == {"BLEU-4": 18.5}


def test_a_missing_directory(tmp_path):
    with pytest.raises(ModelError, match=r"manifest\.json cannot be read"):
        open_model(tmp_path / "nothing")


@pytest.mark.parametrize(
    "name", ["vocabulary.txt", "saved_model/saved_model.pb", "saved_model/variables/variables.index"]
)
def test_a_missing_file(model, name):
    (model / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        open_model(model)


@pytest.mark.parametrize("name", ["vocabulary.txt", "saved_model/saved_model.pb"])
def test_a_changed_file(model, name):
    (model / name).write_bytes((model / name).read_bytes() + b"x")
    with pytest.raises(ModelError, match=f"{name} does not match its digest"):
        open_model(model)


def test_a_file_that_the_manifest_does_not_know(model):
    (model / "saved_model" / "saved_model.pbtxt").write_text("")
    with pytest.raises(ModelError, match=r"saved_model.pbtxt is not in manifest.json"):
        open_model(model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format_version": 2}, "format version 2 is unknown"),
        ({"format_version": None}, "format version None is unknown"),
        ({"max_caption_length": 99}, "changed after the export"),
        ({"image": {"height": 16, "width": 17, "resize": "stretch-bilinear"}}, "changed after the export"),
        ({"image": 3}, "lacks or misnames a field"),
        ({"surprise": 3}, "lacks or misnames a field"),
        ({"files": None}, "lacks or misnames a field"),
    ],
)
def test_a_changed_manifest(model, fields, message):
    change_manifest(model, **fields)
    with pytest.raises(ModelError, match=message):
        open_model(model)


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff"])
def test_a_torn_manifest(model, content):
    (model / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(ModelError, match=r"manifest\.json"):
        read_manifest(model)


def test_a_manifest_cannot_point_outside_its_directory(model):
    fields = json.loads((model / "manifest.json").read_text())
    del fields["fingerprint"]
    for path in ("../secret", "/etc/passwd"):
        files = {**fields["files"], path: "0" * 64}
        manifest = Manifest(**{**fields, "files": files, "image": open_model(model).manifest.image})
        (model / "outside").mkdir(exist_ok=True)
        (model / "outside" / "manifest.json").write_text(manifest.to_json())
        with pytest.raises(ModelError, match="outside the directory"):
            read_manifest(model / "outside")


def test_another_model_than_the_one_asked_for(exported):
    with pytest.raises(ModelError, match="but the job was started with 1234"):
        open_model(exported, fingerprint="1234")


def test_an_unknown_way_to_resize(model):
    fields = json.loads((model / "manifest.json").read_text())
    del fields["fingerprint"]
    image = type(open_model(model).manifest.image)(16, 16, "crop")
    (model / "manifest.json").write_text(Manifest(**{**fields, "image": image}).to_json())
    with pytest.raises(ModelError, match="brought to size by 'crop'"):
        open_model(model)


def test_an_existing_model_is_never_overwritten(exported):
    before = open_model(exported).fingerprint
    with pytest.raises(ModelError, match="exists already"):
        write_tiny_model(exported, seed=1)
    assert open_model(exported).fingerprint == before


def test_an_export_that_fails_leaves_nothing(tmp_path):
    def fail(path: str) -> None:
        Path(path).mkdir()
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_model(
            tmp_path / "model",
            fail,
            tiny_vocabulary(),
            image_height=16,
            image_width=16,
            encoder="tiny",
            max_caption_length=12,
            training={},
            metrics={},
            licence="",
        )
    assert list(tmp_path.iterdir()) == []
