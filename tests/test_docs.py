"""The documents: every command in them runs, and what they list is all there is."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from beam_job.cli import main
from beam_job.command_line import help_text
from beam_job.export.outcomes import ERRORS
from beam_job.messages import unforeseen
from beam_job.records import FIELDS, Caption, CaptionRecord, Content, Failure, Label
from beam_job.report.write import MEANINGS
from beam_job.runs.archive import open_archive
from beam_job.runs.reviews import Review
from tests.tiny_model import write_tiny_model

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Commands that are not installed here, or must not do what they do.
STAND_INS = (
    "python python3 caption-images caption-report caption-review caption-export caption-inspect train-captioner make "
    "pip exiftool gcloud gsutil jq bq docker crontab git airflow sudo apt-get"
)
_TIME = "2026-01-02T03:04:05Z"


def commands(document):
    """The commands of a document: its blocks that are marked `sh`, in order; they share one folder."""
    return re.findall(r"^```sh\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a model and a run of the job, for documents that look at what others made."""
    folder = tmp_path_factory.mktemp("docs")
    write_tiny_model(folder / "model")
    shutil.copytree(ROOT / "samples", folder / "samples")  # copies: a command writes sidecars beside them
    images = ["--images", f"{folder}/samples/*.jpg", "--output", f"{folder}/captions", "--model", f"{folder}/model"]
    assert main([*images, "--runner=DirectRunner"]) == 0
    return folder


def write_reviews(folder):
    """What was downloaded from a page about all captions."""
    output = str(folder / "captions")
    archive = open_archive(output)
    made_by = (archive.model, archive.decoding)
    rows = [
        Review(found["uri"], "right", None, found["caption"], *made_by, found["run"], found["score"], 1.0, _TIME)
        for found in archive.captions()
    ]
    (folder / "reviews-20260102T030405Z.jsonl").write_text("".join(f"{row.to_json()}\n" for row in rows))


@pytest.mark.parametrize("dry", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["dry", "real"])
@pytest.mark.parametrize("document", [doc for doc in DOCUMENTS if commands(doc)], ids=lambda document: document.stem)
def test_every_command_of_a_document_runs(document, dry, made, python, tmp_path):
    places = [tmp_path / "bin", tmp_path / ".venv" / "bin"]
    for place in places:
        place.mkdir(parents=True)
        for name in STAND_INS.split():
            script = place / name
            script.write_text(f'#!/bin/sh\nexec {python} {ROOT}/tests/stand_in.py {name} "$@"\n')
            script.chmod(0o755)
    for name in ("docs", "examples", "flex_template", "Dockerfile"):
        if (ROOT / name).exists():
            (tmp_path / name).symlink_to(ROOT / name)
    for script in ROOT.glob("*.sh"):
        shutil.copy(script, tmp_path)
    for folder in ("samples", "photos"):
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / "samples" / "cat.jpg", tmp_path / folder)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    shutil.copytree(made / "captions", tmp_path / "captions")
    write_reviews(tmp_path)
    (tmp_path / "model").symlink_to(made / "model")
    environment = {
        **os.environ,
        "PATH": f"{places[0]}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DOCS_ROOT": str(ROOT),
        "DOCS_MODEL": str(made / "model"),
        "DOCS_DRY": "yes" if dry else "",
    }
    script = "\n".join(commands(document))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-x", "-c", script],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_links_lead_somewhere(document):
    found = re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL))
    targets = [
        ((document.parent / path) if path else document, heading) for path, heading in found if "://" not in path
    ]
    assert not [str(target) for target, _ in targets if not target.exists()]
    assert not [(target.name, heading) for target, heading in targets if heading and heading not in anchors(target)]


def anchors(document):
    """How GitHub names the headings of a document in links."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def fields_of(text, heading):
    """Names in the first column of the table under a heading."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_field_of_a_record_is_documented_and_in_the_schema():
    text = (ROOT / "docs" / "records.md").read_text()
    caption = Caption("A dog.", ["a", "dog"], 0.8, -2.0, True, [-1.0], [[1.0]], -1.0)
    content, labels = Content(1, "0", "0"), [Label("dog", 0.5)]
    record = json.loads(CaptionRecord("a.jpg", 1, 1, "f", "CPU", [caption], None, content, labels=labels).to_json("1"))
    named = set(record) | {f"{field}[].{name}" for field in ("captions", "labels") for name in record[field][0]}
    assert fields_of(text, "Captions") == named
    failure = json.loads(Failure("a.jpg", "decode", "empty", "No bytes.", sha256="0").to_json("1"))
    assert fields_of(text, "Failures") == set(failure)
    assert set(record) | set(failure) == FIELDS
    schema = json.loads((ROOT / "docs" / "bigquery_captions.json").read_text())
    columns = {column["name"]: column for column in schema}
    assert set(columns) == set(record)
    nested = {column["name"] for column in columns["captions"]["fields"]}
    assert nested == set(record["captions"][0]) - {"log_probs", "attention"}
    assert {column["name"] for column in columns["labels"]["fields"]} == set(record["labels"][0])


def test_every_field_of_a_review_is_documented():
    text = (ROOT / "docs" / "records.md").read_text()
    review = Review("a.jpg", "right", None, "A dog.", "m", "d", "r", -1.0, 1.0, _TIME)
    assert fields_of(text, "Reviews") == set(json.loads(review.to_json()))


def test_documents_pages_and_help_have_one_word_for_the_score():
    texts = {path: path.read_text() for path in [*DOCUMENTS, *sorted((ROOT / "beam_job").glob("*/assets/*"))]}
    texts |= {"--help": help_text(), "schema": (ROOT / "docs" / "bigquery_captions.json").read_text()}
    assert len(texts) > 25
    assert not [name for name, text in texts.items() if "confiden" in text.lower()]


def test_every_failure_code_is_documented_as_the_report_explains_it():
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    table = re.findall(r"^\| `(\w+/\w+)` \| (.+?) \| .+ \|$", text, re.MULTILINE)
    assert {code: meaning.replace("`", "") for code, meaning in table} == MEANINGS


def test_every_failure_code_of_exports_is_documented():
    text = (ROOT / "docs" / "export.md").read_text()
    table = re.findall(r"^\| `export/(\w+)` \| (.*?) \|$", text, re.MULTILINE)
    expected = {**ERRORS, unforeseen.CODE: unforeseen.MEANING}
    assert {code: meaning.replace("`", "") for code, meaning in table} == expected


@pytest.mark.parametrize("package", ["beam_job", "train"])
def test_every_module_is_in_the_section_of_its_room(package):
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split(f"\n## `{package}`\n")[1].split("\n## ")[0]
    top, *rooms = re.split(r"^### ", section, flags=re.MULTILINE)[1:]
    named = {("", name) for name in re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (.*?) \|", top, re.MULTILINE)))}
    for room in rooms:
        (folder,) = re.findall(r"^`([\w/]+)/`", room)
        for line in re.findall(r"^\| (.*)$", room, re.MULTILINE):
            modules, _, what = line.partition(" | ")
            inner = re.fullmatch(r"`(\w+)/`", modules)  # a folder whose modules stand behind it
            place = f"{folder}/{inner[1]}" if inner else folder
            named |= {(place, name) for name in re.findall(r"`(\w+)`", what if inner else modules)}
    found = {path.relative_to(ROOT / package) for path in (ROOT / package).rglob("*.py")}
    modules = {(path.parent.as_posix().removeprefix("."), path.stem) for path in found if path.stem != "__init__"}
    assert named == modules
