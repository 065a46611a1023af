"""The captions file: what is read, and errors that name the line."""

import json
from pathlib import Path

import pytest

from train.data.captions import CaptionsError, DataSet, read_captions
from train.errors import TrainError

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
    with pytest.raises(CaptionsError, match=r"none\.jsonl can't be read: No such file or directory\.$"):
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
    with pytest.raises(CaptionsError, match="of at least 1"):
        DataSet.parse(f"{file}:0")


def write_reviews(folder: Path, *reviews: tuple[str, str, str | None]) -> Path:
    """Reviews of (photo, verdict, corrected sentence); each photo was shown with the caption "A cat."."""
    (folder / "reviews").mkdir(parents=True)
    shown = {"shown": "A cat.", "model": "m", "decoding": "d", "run": "r", "score": -1, "probability": 1}
    rows = [
        {"uri": uri, "verdict": verdict, "caption": caption, "time": f"2026-01-02T03:04:{second:02}Z", **shown}
        for second, (uri, verdict, caption) in enumerate(reviews)
    ]
    (folder / "reviews" / "1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_what_people_reviewed_is_training_data(tmp_path: Path) -> None:
    folder = write_reviews(
        tmp_path / "out",
        ("/1.jpg", "right", None),
        ("/2.jpg", "corrected", "A dog on a sofa."),
        ("/3.jpg", "wrong", None),
        ("file:///a%20b.jpg", "corrected", "A horse."),
        ("gs://bucket/5.jpg", "right", None),
        ("/6.jpg", "skipped", None),
        ("/1.jpg", "corrected", "A kitten."),
        ("/7.jpg", "corrected", "..."),
    )
    data = DataSet.parse(f"reviews:{folder}:3")
    assert {(str(image), captions) for image, captions in data.examples} == {
        ("/1.jpg", ("A kitten.",)),
        ("/2.jpg", ("A dog on a sofa.",)),
        ("/a b.jpg", ("A horse.",)),
    }
    assert data.weight == 3
    assert data.name == f"reviews:{folder}"
    assert "gs://bucket/5.jpg: training can read only photos on disks" in data.left_out


def test_a_folder_without_reviews_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        TrainError, match=r"reviews:.*: there are no captions of photos on disks .* python -m beam_job\.review"
    ):
        DataSet.parse(f"reviews:{tmp_path}")
    with pytest.raises(TrainError, match="reviews:12: there are no captions"):
        DataSet.parse("reviews:12")  # a folder, no weight


@pytest.mark.parametrize(
    "line",
    [
        {"uri": "1.jpg", "caption": "A cat.", "score": -1.0, "captions": [{"text": "A cat."}]},
        {"uri": "1.jpg", "verdict": "right", "caption": None, "shown": "A cat."},
    ],
)
def test_files_of_the_job_are_refused_with_a_hint(line: dict, tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match=r"this file is output of the captioning job.* reviews:DIR"):
        read_captions(write(tmp_path, line))
