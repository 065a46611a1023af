"""The loop as a person goes through it: caption, review by keyboard, add, trust, report, caption with another model."""

import itertools
import json
from pathlib import Path

import apache_beam as beam
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from beam_job.cli import main as caption
from beam_job.report.command import main as report
from beam_job.review.command import main as review
from beam_job.runs.current import ReadCaptions
from beam_job.trust.command import main as trust
from beam_job.trust.trust_file import read_trust
from tests.chromium import chromium
from tests.page_data import data_of
from tests.tiny_model import write_tiny_model

PHOTOS = 60
KEYS = itertools.cycle([("r",), ("e", "A sentence of mine.", Keys.ENTER), ("w",), ("r",)])


def test_corrected_sentences_are_where_they_should_be(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for number in range(PHOTOS):
        Image.effect_noise((64, 48), 5 + number).convert("RGB").save(tmp_path / "photos" / f"{number}.png")
    output = tmp_path / "captions"
    job = ["--images", f"{tmp_path}/photos/*.png", "--output", str(output), "--runner=DirectRunner"]
    write_tiny_model(tmp_path / "model", size=32)
    write_tiny_model(tmp_path / "other", size=32, words=["another", "model", "speaks"])
    assert caption([*job, "--model", str(tmp_path / "model")]) == 0

    assert review([str(output)]) == 0
    (page,) = output.glob("review-*.html")
    with chromium() as browser:
        browser.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "downloads")}
        )
        browser.get(page.as_uri())
        WebDriverWait(browser, 60).until(lambda _: browser.find_element("id", "place").text)
        keys = [key for pressed in itertools.islice(KEYS, PHOTOS) for key in pressed]
        ActionChains(browser).send_keys(*keys, "d").perform()
        assert browser.find_element("id", "place").text == "60 of 60 reviewed"
        files = WebDriverWait(browser, 60).until(lambda _: list(map(str, tmp_path.glob("downloads/*.jsonl"))))
    assert review([str(output), "--add", *files]) == 0
    rows = [json.loads(line) for line in Path(files[0]).read_text().splitlines()]
    said = {row["uri"]: row["verdict"] for row in rows}
    assert [list(said.values()).count(verdict) for verdict in ("right", "corrected", "wrong")] == [30, 15, 15]

    assert trust([str(output)]) == 0
    assert "50 % of 60 captions are right" in capsys.readouterr().out
    assert read_trust(str(output)).reviews == PHOTOS
    check(output, said, tmp_path)
    assert caption([*job, "--model", str(tmp_path / "other")]) == 0
    check(output, said, tmp_path)


def check(output, said, tmp_path):
    """Corrected sentences stand in the report and in what pipelines read; what was wrong is gone or another model's."""
    assert report([str(output), "--to", str(tmp_path / "report.html")]) == 0
    shown = {item["uri"]: item["captions"][0][0]["text"] for item in data_of(tmp_path / "report.html")["items"]}
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | ReadCaptions(str(output)) | beam.Map(json.dumps) | beam.io.WriteToText(str(tmp_path / "read"))
    lines = [line for path in tmp_path.glob("read-*") for line in path.read_text().splitlines()]
    read = {record["uri"]: record for record in map(json.loads, lines)}
    assert {uri: record["caption"] for uri, record in read.items()} == shown
    corrected = {uri for uri, verdict in said.items() if verdict == "corrected"}
    assert {uri for uri, text in shown.items() if text == "A sentence of mine."} == corrected
    assert {uri for uri, record in read.items() if record["source"] == "review"} == corrected
    called_wrong = {uri for uri, verdict in said.items() if verdict == "wrong"}
    if len(list(output.glob("run=*"))) == 1:
        assert not called_wrong & set(read)
    else:
        assert called_wrong <= set(read)
