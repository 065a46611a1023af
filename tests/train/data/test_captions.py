"""The captions file: what is read, and errors that name the line."""

import json
from pathlib import Path

import pytest

from train.data.captions import CaptionsError, DataSet, read_captions

GOOD = {"image": "1.jpg", "captions": ["A dog.", "...", "A cat ."]}


def write(folder: Path, *lines: object) -> Path:
    file = folder / "captions.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return file


def test_reads_what_has_words(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD, "", {"image": "2.jpg", "captions": ["!"]}, {"image": "3.jpg", "captions": []})
    (example,) = read_captions(file)
    assert example.image == tmp_path / "1.jpg"
    assert example.captions == ("A dog.", "A cat .")


def test_byte_order_marks_are_no_part_of_a_line(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD, GOOD)
    file.write_text("\ufeff" + file.read_text().replace("\n", "\n\ufeff"), encoding="utf-8")  # two files, joined
    assert len(read_captions(file)) == 2


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        {"image": "1.jpg"},
        {"image": 1, "captions": []},
        {"image": "1.jpg", "captions": [1]},
        "7",
        "7" * 5000,
        "[" * 100_000,
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: object) -> None:
    with pytest.raises(CaptionsError, match=r"captions\.jsonl, line 3: "):
        read_captions(write(tmp_path, GOOD, GOOD, line))


def test_missing_undecodable_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match="can't be read"):
        read_captions(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9")
    with pytest.raises(CaptionsError, match="UTF-8"):
        read_captions(tmp_path / "latin.jsonl")
    with pytest.raises(CaptionsError, match="no image with a caption"):
        read_captions(write(tmp_path, ""))


def test_weights(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    assert DataSet.parse(str(file)).weight == 1
    assert DataSet.parse(f"{file}:3").weight == 3
    with pytest.raises(CaptionsError, match="from 1"):
        DataSet.parse(f"{file}:0")
