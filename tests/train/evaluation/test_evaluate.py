"""Archive health, and metrics in the manifest. The scores themselves are tested in ``test_run``."""

import shutil
from pathlib import Path

import pytest

from beam_job.model.directory import DEFAULT_MODEL
from beam_job.model.manifest import read_manifest
from beam_job.records import Caption
from tests.storage import Storage
from tests.tiny_model import write_tiny_model
from train.cli import main
from train.evaluation.evaluate import Evaluation, EvaluationError, _tokenized, check_recordable, health, record


def caption(text: str, ended: bool = True) -> Caption:
    return Caption(text, text.split(), -1.0, -2.0, ended, None, None)


def test_health() -> None:
    found = health([caption("a dog and a dog"), caption("a cat on the mat", ended=False), caption("a cat on the mat")])
    assert found == {
        "captions": 3,
        "distinct_captions_percent": 66.7,
        "distinct_words": 7,
        "mean_words": 5.0,
        "repeats_a_content_word_percent": 33.3,
        "ended_percent": 66.7,
    }


@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_captions_of_several_lines_keep_their_places() -> None:
    found = _tokenized(["a red\u2028dog", "two cats."], [["the dog", "a\rdog"], ["", "Cats\fand\ncats"]])
    assert found == ({0: ["the dog", "a dog"], 1: ["", "cats and cats"]}, {0: ["a red dog"], 1: ["two cats"]})


def test_metrics_leave_the_fingerprint_alone(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model")
    before = read_manifest(tmp_path / "model")
    record(tmp_path / "model", "dev, greedy", {"bleu_4": 20.0})
    record(tmp_path / "model", "dev, beam 3", {"bleu_4": 22.0})
    after = read_manifest(tmp_path / "model")
    assert after.fingerprint == before.fingerprint
    assert after.metrics == {"dev, greedy": {"bleu_4": 20.0}, "dev, beam 3": {"bleu_4": 22.0}}


def test_metrics_of_a_model_in_a_bucket(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model")
    with Storage() as storage:
        storage.bucket("models")
        for path in (tmp_path / "model").rglob("*"):
            if path.is_file():
                storage.put("models", f"tiny/{path.relative_to(tmp_path / 'model')}", path.read_bytes())
        record("gs://models/tiny", "dev", {"bleu_4": 20.0})
        assert read_manifest("gs://models/tiny").metrics == {"dev": {"bleu_4": 20.0}}


@pytest.mark.parametrize("link", [False, True])
def test_the_installed_model_is_never_changed(link: bool, tmp_path: Path) -> None:
    model = DEFAULT_MODEL
    if link:
        model = tmp_path / "link"
        model.symlink_to(DEFAULT_MODEL)
    with pytest.raises(EvaluationError, match=r"cp -r .*--model"):
        check_recordable(model)


@pytest.mark.parametrize("file", ["nowhere/found.json", "."])
def test_results_that_could_not_be_written_are_refused_before_the_work(file, tmp_path, capsys) -> None:
    (tmp_path / "captions.jsonl").write_text('{"image": "1.jpg", "captions": ["a cat"]}')
    write_tiny_model(tmp_path / "model")
    command = ["evaluate", "--model", str(tmp_path / "model"), "--captions", str(tmp_path / "captions.jsonl")]
    assert main([*command, "--output", str(tmp_path / file)]) == 2
    assert str(tmp_path / file) in capsys.readouterr().err


def test_a_model_is_changed_only_when_all_else_is_written(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "captions.jsonl").write_text('{"image": "1.jpg", "captions": ["a cat"]}')
    write_tiny_model(tmp_path / "model")
    before = (tmp_path / "model" / "manifest.json").read_bytes()
    monkeypatch.setattr("train.evaluation.evaluate.measure", lambda *_: Evaluation({"bleu_4": 1.0}, [], []))

    def fail(*_: object) -> str:
        raise RuntimeError("no page")

    command = ["evaluate", "--model", str(tmp_path / "model"), "--captions", str(tmp_path / "captions.jsonl")]
    command += ["--record", "dev", "--output", str(tmp_path / "found.json"), "--page", str(tmp_path / "page.html")]
    with monkeypatch.context() as patched:
        patched.setattr("train.evaluation.page.page", fail)
        assert main(command) == 1
    assert (tmp_path / "model" / "manifest.json").read_bytes() == before
    assert "bleu_4" in (tmp_path / "found.json").read_text()
    monkeypatch.setattr("train.evaluation.page.page", lambda *_: "<!doctype html>")
    assert main(command) == 0
    assert read_manifest(tmp_path / "model").metrics == {"dev": {"bleu_4": 1.0}}
