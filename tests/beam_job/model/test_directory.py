"""The exported model directory: what is written can be read, and what was touched is refused."""

import hashlib
import json
from pathlib import Path

import pytest

from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import copy_model, open_model, write_model
from beam_job.model.manifest import ImageSpec, Manifest, ModelError, read_manifest
from tests.tiny_model import LABELS, tiny_vocabulary, write_tiny_model


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


@pytest.mark.parametrize("name", ["vocabulary.txt", "encode.pb", "decode_step.pb", "weights.npz"])
def test_a_missing_file(model, name):
    (model / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        open_model(model)


@pytest.mark.parametrize("name", ["vocabulary.txt", "weights.npz"])
def test_a_changed_file(model, name):
    (model / name).write_bytes((model / name).read_bytes() + b"x")
    with pytest.raises(ModelError, match=f"{name} does not match its digest"):
        open_model(model)


def test_a_file_that_the_manifest_does_not_know(tmp_path):
    model = tmp_path / "model"
    write_tiny_model(model, format_version=1)  # TensorFlow reads the whole folder of a SavedModel
    (model / "saved_model" / "saved_model.pbtxt").write_text("")
    with pytest.raises(ModelError, match=r"saved_model.pbtxt is not in manifest.json"):
        open_model(model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format_version": 3}, "format version 3 is unknown"),
        ({"format_version": True}, "format version True is unknown"),
        ({"format_version": None}, "format version None is unknown"),
        ({"max_caption_length": 99}, "changed after the export"),
        ({"image": {"height": 16, "width": 17, "resize": "stretch-bilinear"}}, "changed after the export"),
        ({"image": 3}, "lacks or misnames a field"),
        ({"surprise": 3}, "lacks or misnames a field"),
        ({"files": None}, "a field 'files' of None"),
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
    with pytest.raises(ModelError, match="resized by 'crop'"):
        open_model(model)


def test_an_existing_model_is_never_overwritten(exported):
    before = open_model(exported).fingerprint
    with pytest.raises(ModelError, match="exists already"):
        write_tiny_model(exported, seed=1)
    assert open_model(exported).fingerprint == before


def test_an_export_that_fails_leaves_nothing(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "encode.pb").write_bytes(b"half of it")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_model(tmp_path / "model", fail, tiny_vocabulary(), Manifest(ImageSpec(16, 16), "tiny", 12, {}))
    assert list(tmp_path.iterdir()) == []


def rewritten(model: Path, **fields) -> None:
    """A manifest that agrees with itself, whatever it says."""
    path = model / "manifest.json"
    found = {**json.loads(path.read_text()), **fields}
    del found["fingerprint"]
    path.write_text(Manifest(**{**found, "image": ImageSpec(**found["image"])}).to_json())


def refused_with(model: Path, name: str, content: bytes, message: str) -> None:
    """A model with other content of a file, which its manifest lists, is not opened."""
    (model / name).write_bytes(content)
    files = json.loads((model / "manifest.json").read_text())["files"]
    rewritten(model, files={**files, name: hashlib.sha256(content).hexdigest()})
    with pytest.raises(ModelError) as caught:
        open_model(model)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        *(
            ({"image": {"height": side, "width": 16, "resize": "stretch-bilinear"}}, "an image height")
            for side in (0, -224, 10**9, "224", 224.0, True, None, [224])
        ),
        ({"image": {"height": 16, "width": 0, "resize": "stretch-bilinear"}}, "an image width"),
        ({"image": {"height": 16, "width": 16, "resize": 3}}, "a field 'image resize'"),
        *(({"max_caption_length": length}, "a max_caption_length") for length in (0, -1, 10**9, "40", True, None)),
        ({"encoder": ["x"]}, "a field 'encoder'"),
        ({"licence": 5}, "a field 'licence'"),
        ({"training": []}, "a field 'training'"),
        ({"metrics": "good"}, "a field 'metrics'"),
    ],
)
def test_values_that_cannot_be_right(model, fields, message):
    rewritten(model, **fields)
    with pytest.raises(ModelError, match=message) as caught:
        read_manifest(model)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":' * 100_000, "nested too deeply|not valid JSON"),
        ("[" * 100_000, "nested too deeply|not valid JSON"),
        ('{"format_version": ' + "1" * 5000 + "}", "not valid JSON"),
        (" " * ((16 << 20) + 1), "the limit for a manifest"),
        ('{"format_version": "' + "x" * 100_000 + '"}', "format version 'xxx"),
    ],
)
def test_a_manifest_without_end(model, text, message):
    (model / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        read_manifest(model)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["vocabulary.txt", "weights.npz", "link.pb"])
def test_links_inside_are_refused(model, tmp_path, name):
    path = model / name
    if path.exists():
        elsewhere = path.rename(tmp_path / "elsewhere")
        path.symlink_to(elsewhere)
    else:
        path.symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match=f"{name} is a symbolic link"):
        open_model(model)


def test_a_link_to_a_model_is_fine(model, tmp_path):
    (tmp_path / "latest").symlink_to(model)
    assert open_model(tmp_path / "latest").fingerprint == open_model(model).fingerprint


@pytest.mark.parametrize("swap", ["replace", "append", "replace and put back", "remove"])
def test_a_swap_after_the_check_is_noticed(model, swap):
    opened = open_model(model)
    opened.check_unchanged()
    path = model / "weights.npz"
    aside = path.with_suffix(".aside")
    if swap == "append":
        with path.open("ab") as file:
            file.write(b"x")
    else:
        path.rename(aside)
        if swap == "replace":
            path.write_bytes(aside.read_bytes())
        if swap == "replace and put back":
            path.write_bytes(b"something else")
            aside.replace(path)
    with pytest.raises(ModelError, match=r"weights\.npz was changed while the model was loaded"):
        opened.check_unchanged()


def test_what_was_swapped_is_not_captioned_with(model, monkeypatch):
    opened = open_model(model)
    (model / "vocabulary.txt").touch()
    with pytest.raises(ModelError, match=r"vocabulary\.txt was changed"):
        Captioner(opened, Decoding(), 1)


def test_a_copy_is_the_same_model(model, tmp_path):
    opened = open_model(model)
    copy_model(opened, tmp_path / "copy")
    assert open_model(tmp_path / "copy").manifest == opened.manifest
    with pytest.raises(ModelError, match="exists already"):
        copy_model(opened, tmp_path / "copy")


def test_labels_are_part_of_the_model(model, tmp_path):
    assert open_model(model).labels is None
    manifest = write_tiny_model(tmp_path / "labelled", labels=LABELS)
    opened = open_model(tmp_path / "labelled")
    assert opened.labels == LABELS
    assert manifest.files.keys() - open_model(model).manifest.files.keys() == {"labels.tsv"}
    copy_model(opened, tmp_path / "copy")
    assert open_model(tmp_path / "copy").labels == LABELS
    (tmp_path / "copy" / "labels.tsv").write_text("label\twords\n")
    with pytest.raises(ModelError, match=r"labels\.tsv does not match its digest"):
        open_model(tmp_path / "copy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"label\twords\ntabby\tcat\ntabby\tcat\n", "labels.tsv: lines 2 and 3 both have the label 'tabby'."),
        (b"label\twords\n\xff\n", "labels.tsv: 'utf-8' codec can't decode"),
        (b"label\twords\n" + b"x" * (16 << 20), "labels.tsv has over 16,777,216 bytes, the limit for labels."),
    ],
)
def test_wrong_labels(tmp_path, content, message):
    write_tiny_model(tmp_path / "model", labels=LABELS)
    refused_with(tmp_path / "model", "labels.tsv", content, message)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (LABELS, 0, "it has labels.tsv, but encode gives no labels; export the model again."),
        (None, 6, "encode gives labels, but its manifest does not list labels.tsv; export the model again."),
        (LABELS, 7, "labels.tsv has 6 labels, but encode gives labels of the shape (None, 7); export the model again."),
    ],
)
def test_labels_that_are_not_those_of_the_graph(tmp_path, labels, classes, message):
    write_tiny_model(tmp_path / "model", labels=labels, classes=classes)
    with pytest.raises(ModelError) as caught:
        Captioner(open_model(tmp_path / "model"), Decoding(), 1)
    assert str(caught.value).endswith(message)


def test_the_quality_is_part_of_the_model(tmp_path):
    manifest = write_tiny_model(tmp_path / "model", quality=True)
    assert "quality.npz" in manifest.files
    quality = open_model(tmp_path / "model").quality
    assert quality is not None
    assert len(quality.words) == len(open_model(tmp_path / "model").vocabulary)


def test_a_quality_of_other_words(tmp_path):
    write_tiny_model(tmp_path / "other", quality=True, words=["a", "cat", "dog"])
    write_tiny_model(tmp_path / "model", quality=True)
    other = (tmp_path / "other" / "quality.npz").read_bytes()
    for content, message in (
        (other, "quality.npz is for 7 words, but vocabulary.txt has 14; export the model again."),
        (other[:100], "quality.npz: it cannot be read"),
    ):
        refused_with(tmp_path / "model", "quality.npz", content, message)


def test_a_manifest_that_says_another_size_than_the_model_takes(model):
    rewritten(model, image={"height": 24, "width": 16, "resize": "stretch-bilinear"})
    with pytest.raises(ModelError, match=r"expects images of \[16, 16, 3\], but the manifest says 24 x 16"):
        Captioner(open_model(model), Decoding(), 1)
