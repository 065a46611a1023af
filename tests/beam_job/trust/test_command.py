"""From reviews to a table and to trust.json, on the command line."""

import importlib.util
import json
import subprocess
import sys

import pytest

from beam_job.runs.archive import open_archive
from beam_job.runs.reviews import Review
from beam_job.trust.command import main
from beam_job.trust.trust_file import read_trust
from tests.written_run import caption_record, write_run

COUNT = 400


@pytest.fixture
def output(tmp_path):
    """400 captions, of which the better half is right."""
    write_run(tmp_path / "out", (caption_record(f"/{n}.jpg", "A dog.", round(-n / 200, 4)) for n in range(COUNT)))
    return tmp_path / "out"


def review_every(output, step, first=0, **fields):
    archive = open_archive(str(output))
    rows = []
    for number in range(first, COUNT, step):
        verdict = "right" if number < COUNT / 2 else "wrong"
        row = Review(
            f"/{number}.jpg",
            verdict,
            None,
            "A dog.",
            archive.model,
            archive.decoding,
            "20260102T030405Z-aaaaaa",
            round(-number / 200, 4),
            1 / step,
            "2026-01-05T00:00:00Z",
        )
        rows.append(json.dumps(json.loads(row.to_json()) | fields))
    (output / "reviews").mkdir(exist_ok=True)
    (output / "reviews" / f"{len(rows)}.jsonl").write_text("".join(f"{row}\n" for row in rows))


def test_the_table_and_the_file_say_how_many_are_right(output, capsys):
    review_every(output, 4)
    assert main([str(output)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("50 % of 400 captions are right (")
    assert "estimated from 100 reviews." in printed
    rows = [line.split() for line in printed.splitlines() if line.startswith("  ")][1:]
    assert [row[1] for row in rows] == [str(400 - 40 * n) for n in range(10)]
    trust = read_trust(str(output))
    assert (trust.reviews, trust.captions, trust.time) == (100, 400, "2026-01-05T00:00:00.000+00:00")
    assert trust.chance(-0.2) > 0.9 > 0.5 > 0.1 > trust.chance(-1.8)
    assert trust.chance(-99) == trust.chances[0][1] <= trust.chances[-1][1] == trust.chance(0)
    assert [chance for _, chance in trust.chances] == sorted(chance for _, chance in trust.chances)


def test_a_share_is_answered_with_a_threshold_or_with_none(output, capsys):
    review_every(output, 2)
    assert main([str(output), "--right", "80%"]) == 0
    printed = capsys.readouterr().out
    assert "Of the 240 captions with a score of -1.1950 or more, an estimated 83 % are right (" in printed
    assert "A person should check the other 160." in printed
    assert main([str(output), "--right", "0.999"]) == 0
    assert "no interval in the table lies above 99.9 %" in capsys.readouterr().out
    for path in (output / "reviews").iterdir():
        path.write_text(path.read_text().replace('"right"', '"wrong"'))
    assert main([str(output), "--right", "95%"]) == 0
    assert "In no line of the table are 95 % of the captions right." in capsys.readouterr().out


def test_reviews_of_other_models_and_photos_chosen_by_name_do_not_count(output, capsys):
    review_every(output, 4, model="other")
    review_every(output, 5, probability=None)
    assert main([str(output)]) == 2
    assert "There are 0 reviews of sampled photos; an estimate needs 50 more reviews" in capsys.readouterr().err
    assert not (output / "trust.json").exists()


def test_wrong_captions_of_the_sample_that_are_corrected_later_stay_in_the_estimate(output):
    review_every(output, 4)
    later = {"verdict": "corrected", "caption": "A cat.", "probability": None, "time": "2026-01-06T00:00:00Z"}
    review_every(output, 4, first=200, **later)
    assert main([str(output)]) == 0
    trust = read_trust(str(output))
    assert (trust.reviews, trust.thresholds[0].right) == (100, 0.5)
    assert trust.time == "2026-01-06T00:00:00.000+00:00"


def test_names_in_messages_are_escaped(output, tmp_path, capsys):
    review_every(output, 4)
    (output / "reviews" / "\x1b[2J.jsonl").write_text("[1\n")
    evil = output.rename(tmp_path / "\x1b[2J")
    assert main([str(evil)]) == 0
    assert main([str(tmp_path / "none\x1b[2J")]) == 2
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert f"{tmp_path}/\\x1b[2J/reviews/\\x1b[2J.jsonl: 1 of 1 lines" in printed.err
    assert printed.out.endswith("\\x1b[2J/trust.json.\n")


@pytest.mark.parametrize("share", ["95", "0", "1.5", "x", "%", "-5%", "nan"])
def test_a_share_that_is_none_is_refused(share, output, capsys):
    assert main([str(output), f"--right={share}"]) == 2
    assert "choose a share such as 95% or 0.95" in capsys.readouterr().err


def test_it_says_what_to_install(output, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else found(name))
    assert main([str(output)]) == 2
    said = capsys.readouterr().err
    assert "an estimate needs 50 more reviews" in said
    assert "scikit-learn" not in said, "until there are enough reviews, it would be installed for nothing"
    review_every(output, 4)
    assert main([str(output)]) == 2
    assert "pip install scikit-learn" in capsys.readouterr().err


def test_scikit_learn_is_imported_only_when_it_is_asked_for():
    code = (
        "import sys, beam_job.trust.command, beam_job.review.command, beam_job.report; print('sklearn' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"model": 5},
        {"chances": []},
        {"chances": [[0, 2]]},
        {"chances": [[-1, 0.5], [-2, 0.6]]},
        {"chances": [[-2, 0.6], [-1, 0.5]]},
        {"chances": [["a", 0.5]]},
        {"chances": [[0, 0.5, 1]]},
        {"thresholds": [{"score": 1}]},
        {"thresholds": [5]},
        {"thresholds": None},
        {"reviews": "many"},
    ],
)
def test_a_broken_trust_file_is_none(change, output, caplog):
    review_every(output, 4)
    assert main([str(output)]) == 0
    path = output / "trust.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read_trust(str(output)) is None
    assert "trust.json" in caplog.text
    path.write_text("{")
    assert read_trust(str(output)) is None
    path.unlink()
    assert read_trust(str(output)) is None
