"""Whatever the standard streams and the locale are, the job does its work, and says so where somebody listens."""

import json
import os
import shutil
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_job.terminal.streams import escaped
from tests.photos import photos
from tests.processes import ROOT, records, start, without_progress
from tests.tiny_model import write_tiny_model

NAMES = ["a.jpg", "é ß 猫.jpg", "clear\x1b[2J.jpg", "two\nlines.jpg", "\u202egpj.exe.jpg"]
SHOWN = ["a.jpg", "é ß 猫.jpg", "clear\\x1b[2J.jpg", "two\\nlines.jpg", "\\u202egpj.exe.jpg"]


@given(st.text())
def test_what_is_shown_neither_acts_on_a_terminal_nor_breaks_a_line(text):
    shown = escaped(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(character) for character in shown} & {"LRE", "RLO", "LRI", "PDF", "PDI"}
    assert len(shown.splitlines()) <= 1
    assert escaped(shown) == shown


def test_letters_are_shown_as_they_are():
    assert escaped("é ß 猫 👩\udcff") == "é ß 猫 👩\\udcff"
    assert [escaped(name) for name in NAMES] == SHOWN


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    write_tiny_model(folder / "model")
    (folder / "photos").mkdir()
    for name, photo in zip(NAMES, photos(folder / "made", len(NAMES)), strict=True):
        shutil.copy(photo, folder / "photos" / name)
    return ["--images", f"{folder}/photos/*.jpg", "--model", folder / "model"]


def nobody_reads():
    """The end of a pipe that is written to."""
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


@pytest.fixture(scope="module")
def ended(job, tmp_path_factory):
    """One job for each way in which streams can be odd: its status, what it wrote, its folder."""
    latin_1 = tmp_path_factory.mktemp("locales")
    made = subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", latin_1 / "en_US.ISO-8859-1"], capture_output=True, check=False
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ways = {
        "ascii": {"environment": plain},
        "latin-1": {"environment": {**plain, "LC_ALL": "en_US.ISO-8859-1", "LOCPATH": str(latin_1)}},
        "output is full": {"stdout": os.open("/dev/full", os.O_WRONLY)},
        "errors are not read": {"stderr": nobody_reads(), "event": "noise"},
        "output is not read, and the filter dies": {"stdout": nobody_reads(), "event": "filter dies"},
    }
    if made.returncode:
        del ways["latin-1"]
    folder, started = tmp_path_factory.mktemp("out"), {}
    for number, (way, options) in enumerate(ways.items()):
        event, output = options.pop("event", "none"), folder / str(number)
        argv = [*job, "--output", output, "--print_captions", "--report"]
        started[way] = start("tests.odd_job", folder / "marker", event, *argv, text=False, **options), output
    output = folder / "closed"
    command = [sys.executable, "-m", "tests.odd_job", folder / "marker", "noise", *job, "--output", output, "--report"]
    closing = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *map(str, command)], cwd=ROOT)
    started["all are closed"] = closing, output
    found = {}
    for way, (process, output) in started.items():
        out, err = process.communicate(timeout=600)
        found[way] = process.returncode, (out or b""), without_progress((err or b"").decode()), output
    return found


def test_the_job_does_its_work_all_the_same(ended):
    for way, (status, _, err, output) in ended.items():
        assert status == 0, (way, err)
        assert len(records(output)) == len(NAMES), way
        (run,) = output.iterdir()
        kinds = {path.name.partition("-")[0] for path in run.iterdir()}
        assert kinds == {"run.json", "manifest.json", "captions", "report.html"}, way
        assert json.loads((run / "manifest.json").read_text())["counts"]["captioned"] == len(NAMES), way


def test_uris_are_the_same_in_every_locale(ended, job):
    uris = {job[1].replace("*.jpg", name) for name in NAMES}
    for way, (*_, output) in ended.items():
        assert {record["uri"] for record in records(output)} == uris, way


def test_what_is_printed_is_readable(ended):
    for encoding in {"ascii", "latin-1"} & set(ended):
        _, out, err, _ = ended[encoding]
        shown = sorted(line.split("\t")[1].rpartition("/")[2] for line in out.decode(encoding).splitlines())
        assert shown == sorted(name.encode(encoding, "backslashreplace").decode(encoding) for name in SHOWN)
        assert err.startswith(f"{len(NAMES)} images: {len(NAMES)} captioned")


def test_who_reads_no_further_hears_no_complaint(ended):
    for way, others in (("output is not read, and the filter dies", 0), ("output is full", 1)):
        *complaints, summary, report = ended[way][2].splitlines()
        assert summary.startswith(f"{len(NAMES)} images: {len(NAMES)} captioned"), way
        assert report.startswith("The report is "), way
        assert complaints == ["beam_job: standard output cannot be written: No space left on device"] * others


@pytest.mark.parametrize(
    "command", ["beam_job --help", "beam_job.inspect", "beam_job.report --help", "beam_job.plan --help"]
)
def test_what_a_command_prints_may_be_read_in_part(command):
    process = start(*command.split(), stdout=nobody_reads())
    assert (process.communicate()[1], process.returncode) == ("", 0)
