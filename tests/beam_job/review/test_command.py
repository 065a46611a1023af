"""From captions to a page, and from a download to the folder: the command line, and what it says of bad input."""

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from beam_job.review.command import main
from beam_job.runs.archive import open_archive
from beam_job.runs.reviews import read_reviews
from tests.page_data import data_of
from tests.pipes import pipe
from tests.storage import Storage
from tests.written_run import caption_record, write_run


@pytest.fixture
def archive(tmp_path):
    """Two runs of one model: the second captioned the last photos and one of the first again; 24 photos in all."""
    for number in range(24):
        Image.new("RGB", (80, 60), (10 * number, 0, 0)).save(tmp_path / f"{number}.jpg")
    first = [caption_record(str(tmp_path / f"{n}.jpg"), f"A dog {n}.", -n / 10) for n in range(20)]
    second = [caption_record(str(tmp_path / f"{n}.jpg"), f"A cat {n}.", -n / 10) for n in range(19, 24)]
    write_run(tmp_path / "out", first)
    write_run(tmp_path / "out", second, name="run=20260103T030405Z-bbbbbb")
    return tmp_path / "out"


def page_of(archive, *options):
    before = set(archive.glob("review-*.html"))
    assert main([str(archive), *options]) == 0
    (page,) = set(archive.glob("review-*.html")) - before
    return data_of(page)


def answers(data, verdict="right", **fields):
    """Rows as the page writes them."""
    for item in data["items"]:
        yield {
            "format": 1,
            **{name: item[name] for name in ("uri", "run", "score", "probability")},
            "verdict": verdict,
            "caption": None,
            "shown": item["caption"],
            "model": data["model"],
            "decoding": data["decoding"],
            "time": "2026-01-05T00:00:00.000Z",
            "reviewer": "",
            **fields,
        }


def write_rows(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def test_the_page_has_the_newest_captions_with_pictures_and_chances(archive):
    data = page_of(archive, "--sample", "12")
    assert len(data["items"]) == 12
    assert all(item["image"].startswith("data:image/webp") for item in data["items"])
    assert sum(1 / item["probability"] for item in data["items"]) == pytest.approx(24)
    everything = page_of(archive)
    captions = {Path(item["uri"]).stem: item["caption"] for item in everything["items"]}
    assert captions == {str(n): f"A {'dog' if n < 19 else 'cat'} {n}." for n in range(24)}
    assert {item["run"] for item in everything["items"]} == {"20260102T030405Z-aaaaaa", "20260103T030405Z-bbbbbb"}


def test_one_page_never_overwrites_another(archive):
    first, second = page_of(archive, "--sample", "12"), page_of(archive, "--sample", "12", "--seed", "1")
    assert first["identity"] != second["identity"]
    assert len(list(archive.glob("review-*.html"))) == 2
    assert main([str(archive), "--sample", "12"]) == 0  # the same page again
    assert len(list(archive.glob("review-*.html"))) == 2


def test_added_reviews_are_in_the_folder_and_the_next_page_is_about_others(archive, tmp_path, capsys):
    data = page_of(archive, "--least_certain", "5")
    assert {item["caption"] for item in data["items"]} == {f"A cat {n}." for n in range(19, 24)}
    rows = write_rows(tmp_path / "r.jsonl", answers(data))
    assert main([str(archive), "--add", rows]) == 0
    assert "5 reviews added. See " in capsys.readouterr().out
    assert len(read_reviews(str(archive)).rows) == 5
    assert main([str(archive), "--add", rows]) == 0
    assert "0 reviews added, 5 were already there." in capsys.readouterr().out
    assert len(list((archive / "reviews").iterdir())) == 1
    least = page_of(archive, "--least_certain", "5")
    assert {item["caption"] for item in least["items"]} == {f"A dog {n}." for n in range(14, 19)}
    sample = page_of(archive, "--sample", "24")
    assert len(sample["items"]) == 19
    write_rows(tmp_path / "r.jsonl", answers(sample))
    assert main([str(archive), "--add", rows]) == 0
    assert main([str(archive), "--sample", "24"]) == 2
    assert "all 24 photos of this sample are reviewed" in capsys.readouterr().err


def test_a_list_of_photos_becomes_a_page(archive, tmp_path, capsys):
    (tmp_path / "list.txt").write_text(f"{tmp_path}/3.jpg\n{tmp_path}/none.jpg\n{tmp_path}/1.jpg\n")
    data = page_of(archive, "--uris", str(tmp_path / "list.txt"))
    assert [(Path(item["uri"]).stem, item["probability"]) for item in data["items"]] == [("3", None), ("1", None)]
    assert "none.jpg has no caption" in capsys.readouterr().err


def test_a_list_may_be_a_pipe_or_a_table(archive, tmp_path):
    with pipe(f"{tmp_path}/3.jpg\n{tmp_path}/1.jpg\n".encode()) as name:
        data = page_of(archive, "--uris", name)
    assert [Path(item["uri"]).stem for item in data["items"]] == ["3", "1"]
    (tmp_path / "list.csv").write_text(f"id,path\n1,{tmp_path}/2.jpg\n")
    data = page_of(archive, "--uris", str(tmp_path / "list.csv"), "--uri_field", "path")
    assert [Path(item["uri"]).stem for item in data["items"]] == ["2"]


def test_a_sample_still_has_what_was_chosen_by_name_and_the_least_certain_do_not(archive, tmp_path):
    (tmp_path / "list.txt").write_text(f"{tmp_path}/23.jpg\n{tmp_path}/22.jpg\n")
    named = page_of(archive, "--uris", str(tmp_path / "list.txt"))
    rows = write_rows(tmp_path / "r.jsonl", answers(named, "wrong"))
    assert main([str(archive), "--add", rows]) == 0
    (item,) = page_of(archive, "--least_certain", "1")["items"]
    assert item["caption"] == "A cat 21."
    sample = page_of(archive)
    assert {item["probability"] for item in sample["items"]} == {1.0}
    assert len(sample["items"]) == 24
    later = answers(sample, time="2026-01-06T00:00:00Z")
    assert main([str(archive), "--add", write_rows(tmp_path / "s.jsonl", later)]) == 0
    assert main([str(archive)]) == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"uri": "/other/archive.jpg"}, "/other/archive.jpg is not captioned in"),
        ({"shown": "A bird."}, "never had the caption 'A bird.'"),
        ({"model": "g" * 64}, "from another model or with other decoding options"),
        ({"decoding": "0"}, "from another model or with other decoding options"),
        ({"score": 0.5}, "with another score than 0.5"),
        ({"format": 9}, "install a newer version of this package"),
        ({"verdict": "corrected", "caption": "x" * (1 << 20)}, "its caption has 1,048,576 characters"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_added_unless_asked_for(change, sentence, archive, tmp_path, capsys):
    rows = list(answers(page_of(archive)))
    rows[3] |= change
    path = write_rows(tmp_path / "r.jsonl", rows)
    assert main([str(archive), "--add", path]) == 2
    error = capsys.readouterr().err
    assert "r.jsonl, line 4: " in error
    assert sentence in error
    assert "nothing was added. Correct the file, or use --skip_bad to add the 23 other reviews." in error
    assert not (archive / "reviews").exists()
    assert main([str(archive), "--add", path, "--skip_bad"]) == 0
    assert len(read_reviews(str(archive)).rows) == 23


def test_a_file_that_was_cut_off_is_named(archive, tmp_path, capsys):
    path = Path(write_rows(tmp_path / "r.jsonl", answers(page_of(archive), of=24)))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines)[:-40])
    assert main([str(archive), "--add", str(path)]) == 2
    assert "its last line is incomplete" in capsys.readouterr().err
    path.write_bytes(b"".join(lines[:20]))
    assert main([str(archive), "--add", str(path)]) == 2
    assert "it contains only 20 of 24 reviews" in capsys.readouterr().err
    path.write_bytes(b"".join(lines))
    assert main([str(archive), "--add", str(path)]) == 0


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"<html>\n", b"5\n", b"null\n"])
def test_a_file_of_something_else_is_named(content, archive, tmp_path, capsys):
    (tmp_path / "r.jsonl").write_bytes(content)
    assert main([str(archive), "--add", str(tmp_path / "r.jsonl")]) == 2
    assert "line 1: it is no" in capsys.readouterr().err


def test_a_photo_that_is_gone_is_reviewed_all_the_same(archive, tmp_path, capsys):
    (tmp_path / "3.jpg").unlink()
    data = page_of(archive)
    assert "1 photo cannot be shown" in capsys.readouterr().err
    assert next(item for item in data["items"] if item["caption"] == "A dog 3.")["image"] is None
    assert main([str(archive), "--add", write_rows(tmp_path / "r.jsonl", answers(data))]) == 0


def test_two_people_who_differ_are_both_kept_and_reported(archive, tmp_path, capsys):
    data = page_of(archive, "--least_certain", "1")
    ann = write_rows(tmp_path / "a.jsonl", answers(data, reviewer="Ann", time="2026-01-06T00:00:00Z"))
    bob = write_rows(tmp_path / "b.jsonl", answers(data, "corrected", caption="A hen.", reviewer="Bob"))
    assert main([str(archive), "--add", bob, ann]) == 0
    assert "Bob said corrected ('A hen.'), then Ann said right, which counts." in capsys.readouterr().err
    assert len(read_reviews(str(archive)).rows) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sample", "0"], "--sample 0: choose 1 to 2,000 photos."),
        (["--least_certain", "2001"], "--least_certain 2001: choose"),
        (["--uris", "/none.txt"], "--uris"),
        (["--uri_field", "path"], "--uri_field: this is about the lists of --uris; give both, or neither."),
        (["--add", "/none.jsonl"], "review: /none.jsonl: there is no such file. Browsers usually save reviews as ~/"),
        (
            ["--add", "reviews-*.jsonl"],
            "review: reviews-*.jsonl: this is no file. The shell replaces a pattern of files on a disk;",
        ),
        (["--add", "/"], "review: /: this is a folder; name the files of reviews in it."),
        (["--add", "gs:///x"], "gs:///x: cannot be read ("),
        (["--to", "/none/page.html"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, sentence, archive, capsys):
    assert main([str(archive), *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_names_in_messages_are_escaped(archive, tmp_path, capsys):
    (archive / "reviews").mkdir()
    (archive / "reviews" / "\x1b[2J.jsonl").write_text("[1\n")
    evil = archive.rename(tmp_path / "\x1b[2J")
    assert main([str(evil), "--sample", "1"]) == 0
    (page,) = evil.glob("review-*.html")
    assert main([str(evil), "--add", write_rows(tmp_path / "r.jsonl", answers(data_of(page)))]) == 0
    assert main([str(tmp_path / "none\x1b[2J")]) == 2
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert f"{tmp_path}/\\x1b[2J/reviews/\\x1b[2J.jsonl: 1 of 1 lines" in printed.err
    assert f"{tmp_path}/\\x1b[2J/review-" in printed.out


def test_a_folder_without_runs_is_named(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "there is no run" in capsys.readouterr().err
    assert main([str(tmp_path), "--add", write_rows(tmp_path / "r.jsonl", [{"uri": 5}])]) == 2


def test_reviews_are_added_on_cloud_storage(archive, tmp_path, capsys):
    with Storage() as storage:
        storage.bucket("bucket")
        for path in [*archive.glob("run=*/captions-*"), *archive.glob("run=*/manifest.json")]:
            storage.put("bucket", f"out/{path.parent.name}/{path.name}", path.read_bytes())
        assert main(["gs://bucket/out", "--sample", "6", "--to", str(tmp_path / "page.html")]) == 0
        rows = write_rows(tmp_path / "r.jsonl", answers(data_of(tmp_path / "page.html"), "wrong"))
        assert main(["gs://bucket/out", "--add", "gs://bucket/reviews-*.jsonl"]) == 2
        assert "gs://bucket/reviews-*.jsonl: this is no file. " in capsys.readouterr().err
        assert main(["gs://bucket/out", "--add", rows]) == 0
        assert len(open_archive("gs://bucket/out").reviews.newest("f" * 64, answers_decoding(tmp_path))) == 6


def answers_decoding(tmp_path):
    return data_of(tmp_path / "page.html")["decoding"]


def test_pictures_are_large_and_together_bounded(archive, tmp_path, monkeypatch):
    Image.effect_noise((1600, 1200), 90).save(tmp_path / "noise.png")
    record = caption_record(str(tmp_path / "noise.png"), "Noise.", -9.0, 1600, 1200)
    write_run(tmp_path / "large", [record])
    (item,) = page_of(tmp_path / "large", "--least_certain", "1")["items"]
    assert picture(item).size == (1024, 768)
    monkeypatch.setattr("beam_job.review.page._MOST_PICTURES", 50_000)
    assert main([str(tmp_path / "large"), "--to", str(tmp_path / "small.html")]) == 0
    (item,) = data_of(tmp_path / "small.html")["items"]
    assert picture(item).width in (512, 256, 128)
    assert len(item["image"]) < 50_000 * 4 / 3 + 100


def picture(item):
    return Image.open(io.BytesIO(base64.b64decode(item["image"].partition(",")[2])))


def test_reviews_are_not_written_behind_a_link(archive, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    downloaded = write_rows(tmp_path / "reviews-1.jsonl", answers(page_of(archive)))
    (archive / "reviews").symlink_to(tmp_path / "elsewhere")
    assert main([str(archive), "--add", downloaded]) == 2
    assert f"{archive}/reviews is a symbolic link, which is not followed" in capsys.readouterr().err
    assert not list((tmp_path / "elsewhere").iterdir())
