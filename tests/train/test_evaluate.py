"""Archive health, and metrics in the manifest. The scores themselves need Java: they are tested where it is."""

import shutil
from pathlib import Path

import pytest

from beam_job.model_directory import read_manifest
from beam_job.records import Caption
from tests.tiny_model import write_tiny_model
from train.evaluate import health, record, score


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


def test_metrics_leave_the_fingerprint_alone(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model")
    before = read_manifest(tmp_path / "model")
    record(tmp_path / "model", "dev, greedy", {"bleu_4": 20.0})
    record(tmp_path / "model", "dev, beam 3", {"bleu_4": 22.0})
    after = read_manifest(tmp_path / "model")
    assert after.fingerprint == before.fingerprint
    assert after.metrics == {"dev, greedy": {"bleu_4": 20.0}, "dev, beam 3": {"bleu_4": 22.0}}


@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_scores_of_a_perfect_caption() -> None:
    pytest.importorskip("pycocoevalcap")
    references = [["a dog runs on grass", "the brown dog runs"], ["two people sit at a table", "people at a table"]]
    scores = score(["A dog runs on grass.", "Two people sit at a table."], references)
    assert scores["bleu_4"] == pytest.approx(100, abs=0.1)
    assert scores["rouge_l"] == pytest.approx(100, abs=0.1)
    assert scores["cider"] > 100
