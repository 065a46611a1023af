"""The report, the comparison and a new model's run, after people have reviewed captions."""

import json
import shutil

import pytest

from beam_job.report import write_report
from beam_job.report.command import main as report_main
from beam_job.report.run_records import ReportError, open_source
from beam_job.runs.archive import open_archive
from beam_job.runs.reviews import Review
from beam_job.trust.command import main as trust_main
from tests.chromium import chromium, requests
from tests.page_data import data_of
from tests.storage import Storage
from tests.written_run import caption_record, write_run

COUNT = 120
EVIL = "<img/src=x/onerror=evil()> A wolf."


def captions(word):
    return (caption_record(f"/{n}.jpg", f"A {word} {n}.", round(-n / 60, 4)) for n in range(COUNT))


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    """120 captions, all reviewed: the surer half right, one corrected, the others wrong; and the trust file."""
    output = tmp_path_factory.mktemp("reviewed") / "out"
    write_run(output, captions("dog"))
    archive = open_archive(str(output))
    made_by = (archive.model, archive.decoding)
    (output / "reviews").mkdir()
    with (output / "reviews" / "1.jsonl").open("w") as file:
        for number, record in enumerate(archive.captions()):
            verdict, sentence = ("right", None) if number < 60 else ("wrong", None)
            if number == 60:
                verdict, sentence = "corrected", EVIL
            said = (record["caption"], *made_by, record["run"], record["score"], 1.0, "2026-01-05T00:00:00Z", "Ann")
            file.write(Review(record["uri"], verdict, sentence, *said).to_json() + "\n")
    assert trust_main([str(output)]) == 0
    return output


def texts(data, run=0):
    return {item["uri"]: item["captions"][run][0]["text"] for item in data["items"]}


def test_the_report_has_the_sentences_that_stand(reviewed, tmp_path):
    for source in (reviewed, next(reviewed.glob("run=*"))):
        data = data_of(write_report(str(source), to=str(tmp_path / "page.html")))
        found = texts(data)
        assert found["/60.jpg"] == EVIL
        assert found["/59.jpg"] == "A dog 59."
        assert "/61.jpg" not in found
        assert len(found) == 61
        assert (data["runs"][0]["corrected"], data["runs"][0]["wrong"]) == (1, 59)
        assert data["runs"][0]["trust"]["thresholds"][0]["right"] == 0.5


def test_a_slash_behind_the_folder_changes_nothing(reviewed, tmp_path):
    run = next(reviewed.glob("run=*"))
    with Storage() as storage:
        storage.bucket("bucket")
        for path in [run / "captions-1.jsonl", run / "manifest.json", reviewed / "reviews/1.jsonl"]:
            storage.put("bucket", f"out/{path.relative_to(reviewed)}", path.read_bytes())
        storage.put("bucket", "out/trust.json", (reviewed / "trust.json").read_bytes())
        for source in (f"gs://bucket/out/{run.name}/", "gs://bucket/out/", f"{run}/"):
            (found,) = data_of(write_report(source, to=str(tmp_path / "page.html"), sample=0))["runs"]
            assert (found["captioned"], found["corrected"], found["wrong"]) == (61, 1, 59)
            assert found["trust"]["thresholds"][0]["right"] == 0.5
            assert found["directory"] == source.rstrip("/")


@pytest.mark.parametrize("name", ["/", "gs://", "hdfs:///"])
def test_the_root_keeps_its_slash(name):
    with pytest.raises(ReportError, match=f"^{name}: "):
        open_source(name)


def test_a_persons_words_stand_against_another_model_and_wrong_captions_are_tried_again(reviewed, tmp_path):
    output = tmp_path / "out"
    write_run(output, captions("dog"))
    shutil.copytree(reviewed / "reviews", output / "reviews")
    write_run(output, captions("cat"), name="run=20260109T030405Z-bbbbbb", model="e" * 64)
    data = data_of(write_report(str(output), to=str(tmp_path / "page.html")))
    found = texts(data)
    assert found["/60.jpg"] == EVIL  # the person's
    assert found["/61.jpg"] == "A cat 61."  # what was wrong was another sentence
    assert len(found) == COUNT
    runs = sorted(str(path) for path in output.glob("run=*"))
    compared = data_of(write_report(runs[0], compare=runs[1], to=str(tmp_path / "both.html"), sample=COUNT))
    assert texts(compared, 0)["/60.jpg"] == texts(compared, 1)["/60.jpg"] == EVIL
    assert compared["changes"] == {"both": 61, "same": 1, "only": [0, 59]}


def test_a_trust_file_of_another_model_says_nothing(reviewed, tmp_path):
    run = write_run(tmp_path / "out", captions("cat"), model="e" * 64)
    (tmp_path / "out" / "trust.json").write_bytes((reviewed / "trust.json").read_bytes())
    assert data_of(write_report(str(run)))["runs"][0]["trust"] is None


def test_broken_reviews_are_named_in_the_report(tmp_path):
    write_run(tmp_path / "out", captions("dog"))
    (tmp_path / "out" / "reviews").mkdir()
    (tmp_path / "out" / "reviews" / "1.jsonl").write_text('{"uri": "/1.jpg"}\n')
    (tmp_path / "out" / "trust.json").write_text(json.dumps({"format": 1}))
    data = data_of(write_report(str(tmp_path / "out")))
    assert "1 of 1 lines contain no record" in data["runs"][0]["problems"][0]
    assert len(data["items"]) == COUNT


def test_the_page_shows_chances_and_the_curve_and_the_bare_score_without_them(reviewed, tmp_path):
    assert report_main([str(reviewed), "--to", str(tmp_path / "with.html")]) == 0
    run = write_run(tmp_path / "out", captions("cat"))
    write_report(str(run), to=str(tmp_path / "without.html"))
    with chromium() as browser:

        def shown(css):
            return [element.text for element in browser.find_elements("css selector", css)]

        browser.get((tmp_path / "with.html").as_uri())
        assert "50 % right (95 % interval: 4" in shown(".trust .sum")[0]
        assert len(browser.find_elements("css selector", ".trust circle")) == 10
        assert "1 caption was corrected by people, 59 captions were marked as wrong" in shown(".notice")[0]
        cards = shown(".card")
        assert any("corrected by a person" in card and EVIL in card for card in cards)
        assert any("confirmed by a person" in card for card in cards)
        browser.find_elements("css selector", ".card")[0].click()
        assert shown("#viewer .certainty")[1].endswith("% likely right")  # the model's caption below the person's
        assert "Right captions" in shown("#overview .tiles dt")
        browser.get((tmp_path / "without.html").as_uri())
        assert not browser.find_elements("css selector", ".trust")
        sure = shown(".card .certainty")
        assert sure[0] == "\N{MINUS SIGN}1.98"
        assert not [text for text in sure if "%" in text]
        assert {url.rpartition("/")[2] for url in requests(browser)} == {"with.html", "without.html"}
        assert browser.get_log("browser") == []
