"""Archive health, and metrics in the manifest. The scores themselves are tested in ``test_run``."""

from pathlib import Path

from beam_job.model_directory import read_manifest
from beam_job.records import Caption
from tests.tiny_model import write_tiny_model
from train.evaluate import health, record


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
