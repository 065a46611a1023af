"""The report's figures, sample and safety; the page itself is opened in test_report_page.py."""

import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from PIL import Image

from beam_job.cli import main
from beam_job.images.decoders import Decoders
from beam_job.records import Failure, Label
from beam_job.report import ReportError, write_report
from beam_job.report.command import main as report_main
from beam_job.report.run_records import open_source, read
from beam_job.report.sample import Sample
from tests.https_server import https_server
from tests.page_data import data_of
from tests.written_run import caption_record, write_run

ROOT = Path(__file__).parents[3]


def test_a_run_is_summed_up_and_its_images_are_embedded(tmp_path):
    for name in ("one.jpg", "two.jpg"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / name)
    records = [
        caption_record(str(tmp_path / "one.jpg"), "A dog.", -0.5),
        caption_record(str(tmp_path / "two.jpg"), "A cat on grass.", -1.5),
        caption_record(str(tmp_path / "gone.jpg"), "A cat.", -1.0),
    ]
    failures = [Failure(f"{n}.jpg", "decode", "truncated", "Ends early.") for n in range(20)]
    run = write_run(tmp_path / "out", records, failures)
    data = data_of(write_report(str(run)))
    found = data["runs"][0]
    assert found["counts"] == {"input": 23, "captioned": 3, "failed": 20, "duplicates": 0}
    assert found["distinct"] == 3
    assert found["median_score"] == pytest.approx(-1.0, abs=0.02)
    assert sum(found["histogram"]) == 3
    assert found["failures"][0] | {"examples": []} == {"code": "decode/truncated", "count": 20, "examples": []}
    assert 0 < len(found["failures"][0]["examples"]) < 20
    assert found["options"]["decoding.strategy"] == "greedy"
    assert [Path(item["uri"]).name for item in data["items"]] == ["two.jpg", "gone.jpg", "one.jpg"]
    assert data["items"][0]["image"].startswith("data:image/webp;base64,")
    assert data["items"][1]["image"] is None
    assert "No such file" in data["items"][1]["why"]
    assert (run / "report.html").exists()


def test_labels_are_shown_where_there_are_some(tmp_path):
    collie = replace(caption_record("a.jpg"), labels=[Label("Border collie", 0.76543)])
    run = write_run(tmp_path, [collie, caption_record("b.jpg"), replace(caption_record("c.jpg"), labels=[])])
    lines = (run / "captions-1.jsonl").read_text().splitlines()
    broken = [
        5,
        {"label": 5, "probability": 1},
        {"label": "x", "probability": "high"},
        {"label": "pug", "probability": 1},
    ]
    more = [
        json.dumps({**json.loads(lines[1]), "uri": f"{number}.jpg", "labels": wrong})
        for number, wrong in enumerate((broken, "dog"))
    ]
    (run / "captions-1.jsonl").write_text("".join(f"{line}\n" for line in [*lines, *more]))
    items = data_of(write_report(str(run)))["items"]
    assert {item["uri"]: item["labels"] for item in items} == {
        "a.jpg": [[{"label": "Border collie", "probability": 0.7654}]],
        "b.jpg": [[]],
        "c.jpg": [[]],
        "0.jpg": [[{"label": "pug", "probability": 1}]],
        "1.jpg": [[]],
    }
    assert not any("labels" in item["carried"] for item in items)


def test_nothing_from_outside_is_markup(tmp_path):
    evil = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>&amp;\u2028\u2029{{script}}\ud800"
    run = write_run(tmp_path, [caption_record(evil, evil)], [Failure(evil, evil, evil, evil)])
    page = write_report(str(run))
    html = Path(page).read_text()
    assert "alert(1)</script>" not in html
    assert html.count("<script") == 2
    assert "\u2028" not in html
    found = data_of(page)
    assert found["items"][0]["uri"] == found["runs"][0]["failures"][0]["examples"][0]["uri"] == evil
    assert not re.search(r"(?:src|href)=.?https?:", html)


def test_a_picture_that_fails_in_an_unforeseen_way_costs_no_more_than_itself(tmp_path, monkeypatch):
    def broken(self, uri):
        raise RuntimeError("credentials")

    monkeypatch.setattr("beam_job.images.fetch.Fetcher.fetch", broken)
    write_run(tmp_path, [caption_record()])
    (item,) = data_of(write_report(str(tmp_path)))["items"]
    assert (item["image"], item["why"]) == (None, "It cannot be shown (RuntimeError).")


def test_a_picture_takes_no_more_memory_than_its_limit(tmp_path, monkeypatch):
    for name, size in (("small.png", (40, 30)), ("large.png", (4000, 3000))):
        Image.new("RGB", size, "red").save(tmp_path / name)
    monkeypatch.setattr("beam_job.report.thumbnails._MEMORY", 20_000_000)
    decoders = Decoders(1)  # of its own: what a process has decoded before may have left it memory
    monkeypatch.setattr("beam_job.report.thumbnails.shared_decoders", lambda: decoders)
    write_run(tmp_path / "out", [caption_record(f"{tmp_path}/{name}.png", score=-1.0) for name in ("small", "large")])
    items = data_of(write_report(str(tmp_path / "out")))["items"]
    found = {Path(item["uri"]).stem: (item["image"] is not None, item["why"]) for item in items}
    assert found["small"] == (True, "")
    assert found["large"][0] is False
    assert "memory" in found["large"][1]


def test_only_who_writes_the_report_lets_it_ask_servers(tmp_path, monkeypatch, capsys):
    asked = []

    class Pictures(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            Image.new("RGB", (40, 30), "red").save(self.wfile, "PNG")

        def log_message(self, *_):
            pass

    with https_server(Pictures, tmp_path, monkeypatch) as url:
        run = str(write_run(tmp_path, [caption_record(f"{url}/a.png")], options={"allow_https": True}))
        (item,) = data_of(write_report(run))["items"]
        assert item["image"] is None
        assert "without --allow_https" in item["why"]
        assert report_main([run]) == 0
        assert asked == []
        assert report_main([run, "--allow_https"]) == 0
        assert asked == ["/a.png"]
    (item,) = data_of(capsys.readouterr().out.splitlines()[-1])["items"]
    assert item["image"].startswith("data:image/webp;base64,")


def test_a_run_that_has_not_ended_is_said_to_be_so(tmp_path):
    write_run(tmp_path, [caption_record()])
    late = write_run(tmp_path, [caption_record(), caption_record("b.jpg")], name="run=20260103T000000Z-bbbbbb")
    (late / "manifest.json").rename(late / "run.json")
    for path, captioned in ((late, 2), (tmp_path, 2)):
        run = open_source(str(path))
        assert not run.finished
        assert len(list(read(run, "captions"))) == captioned
        found = data_of(write_report(str(path)))["runs"][0]
        assert found["complete"] is False
        assert found["captioned"] == captioned


def test_the_report_of_a_folder_is_about_the_current_captions(tmp_path):
    failures = [Failure(name, "fetch", "not_found", "") for name in ("c.jpg", "d.jpg")]
    write_run(tmp_path, [caption_record("a.jpg", "Old."), caption_record("b.jpg", "Old.")], failures)
    trial = {"options": {"decoding": {"strategy": "sample"}}}
    write_run(tmp_path, [caption_record("a.jpg", "Trial.")], name="run=20260103T000000Z-bbbbbb", **trial)
    again = [Failure("d.jpg", "decode", "empty", "")]
    late = write_run(
        tmp_path,
        [caption_record("b.jpg", "New."), caption_record("c.jpg", "New.")],
        again,
        name="run=20260104T000000Z-cccccc",
    )
    page = write_report(str(tmp_path))
    assert page == f"{tmp_path}/report.html"
    data = data_of(page)
    (found,) = data["runs"]
    texts = {item["uri"]: item["captions"][0][0]["text"] for item in data["items"]}
    assert texts == {"a.jpg": "Old.", "b.jpg": "New.", "c.jpg": "New."}
    assert (found["runs"], found["captioned"], found["failed"]) == (2, 3, 1)
    assert [failure["code"] for failure in found["failures"]] == ["decode/empty"]
    assert write_report(str(late)) == f"{late}/report.html"
    data = data_of(write_report(str(late)))
    assert {item["uri"] for item in data["items"]} == {"b.jpg", "c.jpg"}
    assert data["runs"][0]["runs"] is None


def test_files_that_are_not_what_the_manifest_says_are_named(tmp_path):
    run = write_run(tmp_path, [caption_record(f"{n}.jpg") for n in range(3)], [Failure("x", "fetch", "not_found", "")])
    captions = run / "captions-1.jsonl"
    captions.write_text(captions.read_text().replace("dog", "cat", 1) + "torn\n")
    (run / "failures-1.jsonl").unlink()
    (problem, gone) = data_of(write_report(str(run)))["runs"][0]["problems"]
    assert problem == "captions-1.jsonl: 1 of 4 lines contain no record; line 4 is the first."
    assert gone == "failures-1.jsonl: it is gone."
    captions.write_text(captions.read_text().replace("torn\n", ""))
    assert "its digest differs from the manifest's" in data_of(write_report(str(run)))["runs"][0]["problems"][0]


def test_what_cannot_be_reported_on_is_refused(tmp_path):
    with pytest.raises(ReportError, match="no run here"):
        write_report(str(tmp_path))
    write_run(tmp_path, [caption_record()])
    with pytest.raises(ReportError, match="--sample -1"):
        write_report(str(tmp_path), sample=-1)
    with pytest.raises(ReportError, match="cannot be written"):
        write_report(str(tmp_path), to=str(tmp_path / "no" / "such" / "folder.html"))


def test_a_dataflow_job_has_no_report_of_its_own(capsys, tmp_path):
    (tmp_path / "list.txt").write_text("a.jpg\n")
    argv = ["--uris", f"{tmp_path}/list.txt", "--output", str(tmp_path / "out"), "--report", "--runner=DataflowRunner"]
    assert main(argv) == 2
    assert "python -m beam_job.report DIR" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_sample_depends_on_seed_and_uris_alone():
    records = [{"uri": f"{n}.jpg", "score": -n / 1000} for n in range(1000)]

    def chosen(records, seed):
        sample = Sample(30, seed)
        for record in records:
            sample.add(record, record["score"])
        return sample.records()

    found = chosen(records, 1)
    assert [record["uri"] for record, first in found if first] == [f"{n}.jpg" for n in range(999, 989, -1)]
    assert len({record["uri"] for record, _ in found}) == 30
    assert chosen(random.Random(0).sample(records, 1000), 1) == found
    assert chosen(records, 2) != found
    assert len(chosen(records[:20], 1)) == 20


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory of a process is read from /proc")
def test_forty_thousand_records_take_little_memory(tmp_path):
    def peak(count):
        """Peak memory of a process that writes the report of ``count`` records, in MiB."""
        texts = random.Random(0)
        records = (
            caption_record(f"/nowhere/{n}.jpg", f"A dog {texts.randrange(30_000)}.", -texts.expovariate(1))
            for n in range(count)
        )
        run = write_run(tmp_path / str(count), records)
        code = (
            "import sys; from beam_job.report import write_report; from tests.memory import peak; "
            "write_report(sys.argv[1], sample=100); print(peak())"
        )
        command = [sys.executable, "-c", code, str(run)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        data = data_of(run / "report.html")
        assert data["sample"]["of"] == data["runs"][0]["captioned"] == count
        assert (run / "report.html").stat().st_size < 2**20
        return int(done.stdout)

    assert peak(40_000) < peak(1000) + 30  # all records would take 100
