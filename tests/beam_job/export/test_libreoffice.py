"""The CSV as LibreOffice opens it: every cell says what the caption says, and none is computed."""

import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from beam_job.export.command import main
from tests.beam_job.export.archive import run_of
from tests.beam_job.export.test_tables import HOSTILE

TEXTS = [
    "A dog, \"Rex\", said: “wuff”; it's 5 o'clock.",
    "Zwei Zeilen:\nÜber Äpfel\nund Öl",
    "狗在草地上奔跑 🐕",
    "semicolon;tab\tpipe|",
    '""',
    "-5",
    *HOSTILE,
]
# Separator, quote, UTF-8, first line, then: numbers are recognised, and formulas are computed (the last one).
AS_OPENED = "CSV:44,34,76,1,,0,false,true,true,false,false,-1,true"
NAMESPACES = {
    "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
    "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
}


@pytest.mark.skipif(not shutil.which("soffice"), reason="needs LibreOffice Calc (soffice)")
def test_cells_in_libreoffice(tmp_path):
    captions = run_of(
        tmp_path / "captions",
        [{"uri": f"/photos/{index:02}.jpg", "caption": text, "note": text} for index, text in enumerate(TEXTS)],
        carry="note",
    )
    assert main([str(captions), "--to", "csv", "--runner", "DirectRunner"]) == 0
    subprocess.run(
        [
            "soffice",
            "--headless",
            f"-env:UserInstallation=file://{tmp_path}/profile",
            f"--infilter={AS_OPENED}",
            "--convert-to",
            "fods",
            "--outdir",
            tmp_path,
            captions / "captions.csv",
        ],
        check=True,
        capture_output=True,
    )
    rows = list(cells(tmp_path / "captions.fods"))
    assert rows[0][:4] == ["uri", "caption", "source", "score"]
    assert len(rows) == 1 + len(TEXTS)
    for index, (row, text) in enumerate(zip(rows[1:], TEXTS, strict=True)):
        wanted = (f"'{text}" if text in HOSTILE else text).replace("\r", "\n")  # a line end is a line end in a sheet
        assert row == [f"/photos/{index:02}.jpg", wanted, "model", "-1", *row[4:9], wanted]


def cells(path):
    """The rows of a sheet as texts; a formula fails the test."""
    tree = ElementTree.parse(path)
    for row in tree.iterfind(".//table:table-row", NAMESPACES):
        texts = []
        for cell in row.iterfind("table:table-cell", NAMESPACES):
            assert f"{{{NAMESPACES['table']}}}formula" not in cell.attrib, ElementTree.tostring(cell)
            text = "\n".join(line_text(line) for line in cell.iterfind("text:p", NAMESPACES))
            texts += [text] * int(cell.get(f"{{{NAMESPACES['table']}}}number-columns-repeated", 1))
        if any(texts):
            yield texts


def line_text(line):
    """Blanks and tabs are elements."""
    found = line.text or ""
    for child in line:
        name = child.tag.rpartition("}")[2]
        found += {"s": " " * int(child.get(f"{{{NAMESPACES['text']}}}c", 1)), "tab": "\t"}.get(name, line_text(child))
        found += child.tail or ""
    return found
