"""Two runs beside each other in one report."""

from pathlib import Path

import pytest

from beam_job.prune.pages import pages
from beam_job.report import write_report
from beam_job.report.command import main as report_main
from beam_job.report.page import page_path
from tests.page_data import data_of
from tests.written_run import caption_record, write_run


def test_two_runs_are_joined_by_uri(tmp_path):
    before = [caption_record(f"{n}.jpg", f"A dog {n}.", -1.0) for n in range(50)]
    after = [caption_record(f"{n}.jpg", "A cat." if n == 7 else f"A dog {n}.", -0.2) for n in range(5, 60)]
    first = write_run(tmp_path / "a", before)
    second = write_run(tmp_path / "b", reversed(after), model="e" * 64)
    data = data_of(write_report(str(first), compare=str(second), to=str(tmp_path / "page.html"), sample=10))
    assert data["changes"] == {"both": 45, "same": 44, "only": [5, 10]}
    assert data["items"][0]["uri"] == "7.jpg"
    assert [captions[0]["text"] for captions in data["items"][0]["captions"]] == ["A dog 7.", "A cat."]
    assert len(data["items"]) == 10
    assert [run["model"][0] for run in data["runs"]] == ["f", "e"]
    assert not (first / "report.html").exists()


def test_a_comparison_lies_beside_the_report_of_the_second_run_and_beside_other_comparisons(
    tmp_path, monkeypatch, capsys
):
    first, other, second = (
        write_run(tmp_path, [caption_record("a.jpg")], name=f"run=2026010{day}T000000Z-aaaaaa") for day in (1, 2, 3)
    )
    report = Path(write_report(str(second)))
    before = report.read_bytes()
    assert report_main([str(first), "--compare", str(second)]) == 0
    written = second / f"comparison-with-{first.name}.html"
    assert capsys.readouterr().out == f"{written}\n"
    compared = written.read_bytes()
    assert len(data_of(written)["runs"]) == 2
    monkeypatch.chdir(other)
    assert write_report(".", compare=f"../{second.name}/") == f"../{second.name}/comparison-with-{other.name}.html"
    assert report.read_bytes() == before
    assert written.read_bytes() == compared
    assert {str(path) for path in tmp_path.rglob("*.html")} <= set(pages(str(tmp_path))), "a prune finds all of them"


@pytest.mark.parametrize("first", ["gs://a/captions", "gs://a/captions/", "gs://captions", "/a/captions", "captions/."])
def test_a_comparison_has_the_name_of_the_first_folder(first):
    assert page_path(first, "gs://b/old") == "gs://b/old/comparison-with-captions.html"
