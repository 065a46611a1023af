"""A tiny run from end to end by the command line: fit, export, read back, caption, evaluate; killed, and resumed."""

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import OpenModel, open_model
from benchmarks.quality import Learned, measure, write
from tests.train.colours import COLOURS, QUICK, add_tiny_encoder, picture, run_and_kill, write_colours
from train.cli import main
from train.data.captions import DataSet
from train.exporting.quality import Agreement
from train.fitting.checkpoint import Checkpoint

ROOT = Path(__file__).parents[2]
SETTINGS = ["--set", *QUICK, "epochs=14", "patience=14", "self_critical_epochs=2", "dropout=0.1"]


@pytest.fixture(scope="module", autouse=True)
def _encoder() -> None:
    add_tiny_encoder()


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = write_colours(tmp_path_factory.mktemp("data"))
    dev = {"image": "red-0.png", "captions": ["a red wall"]}
    file.with_name("dev.jsonl").write_text(json.dumps(dev))
    sentences = [*(f"A wall is {name}." for name in COLOURS), "A purple wall.", "a " * 8, "..."]
    file.with_name("sentences.txt.gz").write_bytes(gzip.compress("\n".join(6 * sentences).encode()))
    return file


@pytest.fixture(scope="module")
def model(captions: Path) -> OpenModel:
    return fit(captions, captions.parent / "model", "--logs", str(captions.parent / "logs"))


def arguments(captions: Path, output: Path, *more: str) -> list[str]:
    data = ["fit", "--captions", f"{captions}:2", "--dev", str(captions), str(captions.with_name("dev.jsonl"))]
    data += ["--sentences", str(captions.with_name("sentences.txt.gz")), "--encoder", "tiny"]
    return [*data, "--cache", str(captions.parent / "cache"), "--output", str(output), *SETTINGS, *more]


def fit(captions: Path, output: Path, *more: str) -> OpenModel:
    assert main(arguments(captions, output, *more)) == 0
    return open_model(output)


def weights(model: OpenModel) -> dict[str, np.ndarray]:
    with np.load(model.directory / "weights.npz") as stored:
        return dict(stored)


def test_the_manifest_tells_how_it_was_made(model: OpenModel, captions: Path) -> None:
    training = model.manifest.training
    assert training["data_sets"] == [{"name": f"{captions.parent.name}/captions.jsonl", "images": 17, "weight": 2}]
    assert (training["images_left_out"], training["captions_left_out"]) == (1, 2)
    assert training["captions_per_epoch"] == 64
    assert [(dev["name"].split("/")[-1], dev["images"]) for dev in training["dev_sets"]] == [
        ("captions.jsonl", 17),
        ("dev.jsonl", 1),
    ]
    assert training["sentences"] == 24  # not the word that no caption has, nor what is too long or empty
    assert len(training["sentence_loss_by_epoch"]) == 1
    assert training["loss_by_epoch"][-1] < training["loss_by_epoch"][0]
    assert len(training["dev_cider_by_epoch"]) == 14
    assert len(training["reward_by_epoch"]) == 2
    assert "dev_cider" not in training  # nothing was mixed: it is that of the best epoch
    best = max(training["dev_cider_by_epoch"])
    epoch = training["dev_cider_by_epoch"].index(best) + 1
    assert training["exported"].startswith(f"after {epoch} of 14 epochs, dev CIDEr {best:.1f}")
    assert not list((captions.parent / "cache" / "runs").iterdir())


def test_the_model_learned_its_colours(model: OpenModel) -> None:
    captioner = Captioner(model, Decoding(), batch_size=4)
    found = captioner.caption([np.asarray(picture(name, 9)) for name in COLOURS], list(COLOURS))
    assert [name in caption[0].tokens for name, caption in zip(COLOURS, found, strict=True)] == [True] * 4


@pytest.fixture(scope="module")
def measured(model: OpenModel, captions: Path) -> Learned:
    """The scores of the captions of a data set, the same one again, and one of a single photograph."""
    data = DataSet.parse(str(captions))
    return measure(model, [data, data, DataSet.parse(str(captions.with_name("dev.jsonl")))])


def test_scores_are_judged_by_cross_validation(measured: Learned, captions: Path) -> None:
    """Of so few photos the model learned no quality: its own scores are mean log-probabilities."""
    for row in measured.rows[:2]:
        name, of_others, by_log_probability, own = row.strip("| ").split(" | ")
        assert name == f"{captions.parent.name}/captions.jsonl, 16"  # one of the 17 is broken
        assert by_log_probability == own
        assert -1 <= float(of_others) <= 1


def test_a_model_can_learn_its_scores_afterwards(
    model: OpenModel, measured: Learned, captions: Path, tmp_path: Path
) -> None:
    quality, agreement = measured.quality, measured.agreement[0]
    data = DataSet.parse(str(captions))
    elsewhere = data._replace(name="elsewhere/captions.jsonl", examples=data.examples[:3])
    agreed = [(data, agreement), (elsewhere, Agreement(score=0.25, mean_log_prob=0.5))]
    write(str(tmp_path / "scored"), model, quality, agreed)
    scored = open_model(tmp_path / "scored")
    assert scored.fingerprint != model.fingerprint
    assert scored.quality
    assert len(scored.quality.words) == len(model.vocabulary)
    assert weights(scored).keys() == weights(model).keys()
    (found, other, new) = scored.manifest.training["dev_sets"]
    assert found["rank_correlation"] == {
        "score": round(agreement.score, 4),
        "mean_log_prob": round(agreement.mean_log_prob, 4),
    }
    assert "rank_correlation" not in other
    assert new == {
        "name": "elsewhere/captions.jsonl",
        "images": 3,
        "rank_correlation": {"score": 0.25, "mean_log_prob": 0.5},
    }
    pixels = [np.asarray(picture(name, 9)) for name in COLOURS]
    captioner = Captioner(scored, Decoding(), batch_size=4)
    for (caption,) in captioner.caption(pixels, list(COLOURS)):
        assert caption.score != caption.mean_log_prob
    write(str(tmp_path / "again"), scored, quality, [])
    for dev in open_model(tmp_path / "again").manifest.training["dev_sets"]:
        assert "rank_correlation" not in dev, "it was that of the former scores"


def test_of_a_single_photograph_there_is_no_rank_correlation(measured: Learned, captions: Path) -> None:
    assert measured.rows[2] == f"| {captions.parent.name}/dev.jsonl, 1 | - | - | - |"


def test_the_curves_are_there_for_tensorboard(model: OpenModel, captions: Path) -> None:
    (log,) = (captions.parent / "logs" / "training").iterdir()
    seen: dict[str, list[int]] = {}
    for event in tf.compat.v1.train.summary_iterator(str(log)):
        for value in event.summary.value:
            seen.setdefault(value.tag, []).append(event.step)
    assert seen["loss"] == list(range(1, 113))
    assert seen["dev_cider"] == list(range(8, 113, 8))
    assert (captions.parent / "logs" / "self-critical").is_dir()


def test_killed_and_resumed_equals_undisturbed(
    model: OpenModel, captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed once in each of the three stages."""
    command = arguments(captions, tmp_path / "model", "--checkpoint_seconds", "0")
    runs = captions.parent / "cache" / "runs"
    for place, (stage, steps) in enumerate({"sentences": 2, "fit": 20, "reward": 2}.items()):
        told = run_and_kill(command, stage, steps)
        assert ("it resumes from its checkpoint" in told) == (place > 0)
        assert done(runs, stage) == steps
        assert not (tmp_path / "model").exists()
    assert main(command) == 0
    assert "it resumes from its checkpoint" in capsys.readouterr().err
    resumed = open_model(tmp_path / "model")
    for curve in (
        "sentence_loss_by_epoch",
        "loss_by_epoch",
        "dev_cider_by_epoch",
        "reward_by_epoch",
        "dev_cider_by_self_critical_epoch",
    ):
        assert resumed.manifest.training[curve] == model.manifest.training[curve]
    undisturbed = weights(model)
    assert all(np.array_equal(weight, undisturbed[name]) for name, weight in weights(resumed).items())


def done(runs: Path, stage: str) -> int:
    """Steps of the stage that a killed run would not have to take again."""
    for file in runs.glob(f"*-{stage}.npz"):
        with np.load(file) as kept:
            return len(json.loads(str(kept["progress"]))["losses"])
    return 0


@pytest.fixture(scope="module")
def more_training(model: OpenModel, captions: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that starts from the model and learns nothing, at a rate of zero, from captions with a new word."""
    folder = tmp_path_factory.mktemp("more")
    told = {"image": str(captions.parent / "red-0.png"), "captions": ["a scarlet wall"] * 8}
    (folder / "more.jsonl").write_text(json.dumps(told))
    command = ["fit", "--captions", str(folder / "more.jsonl"), "--start", str(model.directory)]
    command += ["--licence", "Our own photos.", "--cache", str(folder / "cache")]
    return [*command, "--set", *QUICK, "epochs=1", "learning_rate=0.0"]


def assert_note(started: OpenModel, start: OpenModel) -> None:
    note = started.manifest.licence
    assert note.startswith("Our own photos. Training started from model " + start.fingerprint[:12])
    assert note.endswith(start.manifest.licence)


def test_starting_from_an_exported_model(model: OpenModel, more_training: list[str], tmp_path: Path) -> None:
    assert main([*more_training, "hidden_size=99", "--output", str(tmp_path / "whole")]) == 0
    whole = open_model(tmp_path / "whole")
    assert whole.vocabulary.tokens == (*model.vocabulary.tokens, "scarlet")
    assert whole.manifest.training["started_from"] == model.fingerprint
    assert_note(whole, model)
    before, after = weights(model), weights(whole)
    for name, weight in before.items():  # nothing was learned, and the rows of new words came last
        np.testing.assert_array_equal(after[name][tuple(map(slice, weight.shape))], weight)


def test_starting_from_the_encoder_of_an_exported_model(
    model: OpenModel, more_training: list[str], tmp_path: Path
) -> None:
    assert main([*more_training, "hidden_size=4", "--fresh_decoder", "--output", str(tmp_path / "fresh")]) == 0
    fresh = open_model(tmp_path / "fresh")
    assert len(fresh.vocabulary) == 7
    assert_note(fresh, model)
    found = weights(fresh)
    assert all(
        np.array_equal(found[name], weight) for name, weight in weights(model).items() if name.startswith("encoder")
    )


def test_images_of_another_size(captions: Path, tmp_path: Path) -> None:
    command = ["fit", "--captions", str(captions), "--encoder", "tiny", "--cache", str(tmp_path / "cache")]
    settings = ["--set", *QUICK, "image_size=20", "epochs=1"]
    assert main([*command, "--output", str(tmp_path / "larger"), *settings]) == 0
    larger = open_model(tmp_path / "larger")
    assert (larger.manifest.image.height, larger.manifest.image.width) == (20, 20)
    shape = (20, 20, 3)
    assert Captioner(larger, Decoding(), 1).caption([np.zeros(shape, np.uint8)], ["gs://a/1.jpg"])


def test_features_are_made_ahead(captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["features", "--captions", str(captions), "--encoder", "tiny", "--cache", str(tmp_path)]
    assert main(command) == 0
    assert "17 images, 1 of them broken" in capsys.readouterr().out
    assert main(command) == 0
    told = capsys.readouterr().err
    assert "the features of 0 are not cached yet" in told
    assert "broken.png: The file is empty." in told
    assert "untold.png: no caption" in told


@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_evaluate(model: OpenModel, captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    output, page = tmp_path / "found.json", tmp_path / "found.html"
    command = ["evaluate", "--model", str(model.directory), "--captions", str(captions)]
    assert main([*command, "--output", str(output), "--page", str(page)]) == 0
    found = json.loads(output.read_text())
    assert found["metrics"]["images_left_out"] == 1
    assert "broken.png" in found["left_out"][0]
    told = {place: [one["caption"], *one["references"]] for place, one in enumerate(found["captions"])}
    split = PTBTokenizer().tokenize({place: [{"caption": text} for text in texts] for place, texts in told.items()})
    said, truth = ({place: texts[part] for place, texts in split.items()} for part in (slice(1), slice(1, None)))
    bleu, _ = Bleu(4).compute_score(truth, said)
    cider, _ = Cider().compute_score(truth, said)
    assert found["metrics"]["bleu_4"] == round(100 * bleu[3], 2)
    assert found["metrics"]["cider"] == round(100 * cider, 2)
    shown = page.read_text()
    assert shown.count("<svg") == 4
    assert shown.count("data:image/jpeg") == 16
    assert "A red wall." in shown or "The wall is red." in shown


def test_a_taken_output_is_refused(model: OpenModel, captions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(captions, model.directory)) == 2
    assert "exists already" in capsys.readouterr().err


def test_where_nothing_is_better_the_start_is_what_comes_out(
    model: OpenModel, captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", "--captions", str(captions), "--dev", str(captions), "--start", str(model.directory)]
    command += ["--cache", str(tmp_path / "cache"), "--set", *QUICK, "learning_rate=0.0", "epochs=2"]
    assert main([*command, "--output", str(tmp_path / "same")]) == 0
    told = capsys.readouterr()
    assert "exported: the model that training started from: no epoch was better" in told.err
    assert model.fingerprint in told.out
    same = open_model(tmp_path / "same")
    assert (same.fingerprint, same.manifest) == (model.fingerprint, model.manifest)
    assert not list((tmp_path / "cache" / "runs").iterdir())


def test_where_sentences_spoil_the_start_and_nothing_mends_it_the_start_is_what_comes_out(
    model: OpenModel,
    captions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Interrupted amid the sentences, and resumed."""
    command = ["fit", "--captions", str(captions), "--dev", str(captions), "--start", str(model.directory)]
    command += ["--sentences", str(captions.with_name("sentences.txt.gz")), "--checkpoint_seconds", "0"]
    command += ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "same")]
    command += ["--set", *QUICK, "learning_rate=1.0", "warmup_steps=0", "epochs=1"]
    save = Checkpoint.save

    def save_and_stop(*saved: Any) -> None:
        save(*saved)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_stop)
    assert main(command) == 130
    monkeypatch.undo()
    assert [file.name.split("-")[1] for file in (tmp_path / "cache" / "runs").iterdir()] == ["sentences.npz"]
    capsys.readouterr()
    assert main(command) == 0
    told = capsys.readouterr().err
    (cider,) = re.findall(r"exported: the model that training started from: .* its dev CIDEr (.*)", told)
    assert float(cider) > max(model.manifest.training["dev_cider_by_epoch"]) / 2
    assert open_model(tmp_path / "same").fingerprint == model.fingerprint


def test_german_nouns_keep_their_capitals(captions: Path, tmp_path: Path) -> None:
    german = tmp_path / "captions.jsonl"
    nouns = {"red": "Wand", "green": "Wiese", "blue": "Himmel", "white": "Schnee"}
    told = [
        {"image": str(captions.parent / f"{name}-{number}.png"), "captions": [f"die {noun}"]}
        for name, noun in nouns.items()
        for number in range(4)
    ]
    german.write_text("\n".join(map(json.dumps, told)))
    command = ["fit", "--captions", str(german), "--dev", str(german), "--encoder", "tiny"]
    command += ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "model"), "--set", *QUICK]
    assert main([*command, "epochs=40", "patience=40", "lowercase=false"]) == 0
    trained = open_model(tmp_path / "model")
    assert {"Wand", "Wiese", "Himmel", "Schnee"} < set(trained.vocabulary.tokens)
    assert max(trained.manifest.training["dev_cider_by_epoch"]) > 0
    captioner = Captioner(trained, Decoding(), batch_size=4)
    said = captioner.caption([np.asarray(picture(name, 9)) for name in nouns], list(nouns))
    assert [caption[0].text for caption in said] == [f"Die {noun}." for noun in nouns.values()]
