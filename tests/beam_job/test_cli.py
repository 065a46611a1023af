"""The job from its command line: what it refuses before any work, and a whole run on DirectRunner."""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, nullcontext

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_job import cli
from beam_job.cli import check_inputs, check_options, main
from beam_job.command_line import parse
from beam_job.options import CaptionOptions
from tests.photos import SAMPLES, photos
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_model(path)
    return str(path)


def refused(capsys, *argv):
    """The one sentence on standard error of a job that must not start."""
    assert main([str(arg) for arg in argv]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert captured.out == ""
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("beam_job: ")
    return lines[0]


def test_the_process_ends_with_the_jobs_status():
    command = [sys.executable, "-m", "beam_job", "--images", "no/such/*.jpg"]
    assert subprocess.run(command, capture_output=True).returncode == 2


def test_nothing_is_written_when_the_job_is_refused(capsys, tmp_path):
    refused(capsys, "--images", tmp_path / "*.jpg", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["elsewhere", "not-mounted"])
def test_runs_that_were_linked_back_are_not_captioned_again(capsys, tmp_path, model, place):
    photos(tmp_path / "photos", 1)
    output = tmp_path / "out"
    output.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "file").touch()
    (output / "run=0").symlink_to(tmp_path / "file")  # holds no captions
    (output / "run=1").symlink_to(tmp_path / place)
    told = refused(capsys, "--images", tmp_path / "photos/*", "--output", output, "--model", model)
    assert f"{output}/run=1 is a symbolic link, which is not followed: the photos of that run would be" in told
    assert "Move the run's folder itself there, or mount it there (mount --bind)." in told
    assert sorted(path.name for path in output.iterdir()) == ["run=0", "run=1"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_instead_of_a_glob_is_refused(capsys, tmp_path, slash):
    told = refused(capsys, "--images", f"{tmp_path}{slash}", "--output", tmp_path / "out")
    assert f"is a folder; write '{tmp_path}/*.jpg', or '{tmp_path}/**.jpg' to include its subfolders." in told


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--output is missing"),
        (["--output", "out"], "nothing to caption"),
        (["--output", "out", "--images", "no/such/*.jpg"], "--images no/such/*.jpg: no image matches"),
        (["--output", "out", "--uris", "no_such.txt"], "--uris no_such.txt: the list cannot be read"),
        (["--output", "out", "--images", "x", "--model", "no_such"], "Model no_such: manifest.json cannot be read"),
        (["--output", "out", "--images", "x", "--batchsize", "3"], "--batchsize 3: there is no such option"),
        (["--output", "out", "--images", "x", "--batch_size", "many"], "invalid int value: 'many'"),
        (["--output", "out", "--images", "x", "--batch_size", "0"], "--batch_size 0: choose 1 or more"),
        (["--output", "out", "--images", "x", "--fetch_threads", "0"], "--fetch_threads 0: choose 1 or more"),
        (["--output", "out", "--images", "x", "--decoding", "best"], "invalid choice: 'best'"),
        (["--output", "out", "--images", "x", "--decoding", "beam", "--beam_width", "0"], "--beam_width 0"),
        (["--output", "out", "--images", "x", "--decoding", "sample", "--top_p", "1.5"], "--top_p 1.5"),
        (["--output", "out", "--images", "x", "--decoding", "beam", "--num_captions", "6"], "--num_captions 6"),
        (["--output", "out", "--images", "x", "--seed", "7"], "--seed 7: only --decoding sample uses this option"),
    ],
)
def test_bad_options_get_one_clear_sentence(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *argv)


@pytest.mark.parametrize(
    ("argv", "verbose"),
    [(["--verbose"], True), (["--verbose=True"], True), (["--verbose=true"], True), (["--verbose=false"], False)],
)
def test_messages_are_set_up_as_the_options_say(capsys, monkeypatch, argv, verbose):
    told = []
    monkeypatch.setattr(cli, "console", lambda verbose: told.append(verbose) or nullcontext())
    assert "--output is missing" in refused(capsys, *argv)
    assert told == [verbose] == [parse(argv).verbose]


def test_a_list_that_is_empty_or_no_text(capsys, tmp_path):
    (tmp_path / "empty.txt").write_text("\n  \n")
    assert "the list contains no URI" in refused(capsys, "--uris", tmp_path / "empty.txt", "--output", tmp_path / "out")
    shutil.copy(SAMPLES[0], tmp_path / "photo.txt")
    assert "is an image" in refused(capsys, "--uris", tmp_path / "photo.txt", "--output", tmp_path / "out")


def test_an_output_that_cannot_be_written(capsys, tmp_path, model):
    (tmp_path / "file").write_text("")
    message = refused(capsys, "--images", SAMPLES[0], "--output", tmp_path / "file", "--model", model)
    assert f"--output {tmp_path / 'file'}: cannot be written" in message


def test_a_length_beyond_the_models_own(capsys, tmp_path, model):
    message = refused(
        capsys, "--images", SAMPLES[0], "--output", tmp_path / "out", "--model", model, "--max_length", "13"
    )
    assert "--max_length 13: the model supports at most 12 tokens" in message


def test_checks_change_no_option(tmp_path, model):
    photos(tmp_path, 1)
    options = parse(["--images", f"{tmp_path}/*.jpg", "--output", f"{tmp_path}/out", "--model", model])
    before = dict(options.get_all_options())
    check_options(options)
    with ExitStack() as at_end:
        check_inputs(options, at_end)
    assert options.get_all_options() == before


def test_limits_on_decoding_are_options():
    options = parse(["--images", "x", "--output", "out", "--decode_deadline", "7", "--decode_memory", "1000"])
    loading = options.to_loading()
    assert (loading.decode_deadline, loading.decode_memory) == (7.0, 1000)


def test_help_names_every_option(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    parser = argparse.ArgumentParser()
    CaptionOptions._add_argparse_args(parser)
    added = {name for action in parser._actions for name in action.option_strings} - {"-h", "--help"}
    assert len(added) > 40
    assert set(re.findall(r"^  (--\w+)", text, re.MULTILINE)) == added


def broken_files(folder):
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_text("<html><body>404</body></html>")
    (folder / "cut.jpg").write_bytes(SAMPLES[0].read_bytes()[:3000])
    (folder / "noise.jpg").write_bytes(bytes(range(256)) * 20)
    (folder / "header.jpg").write_bytes(SAMPLES[1].read_bytes()[:4])


def records(run, kind):
    return [json.loads(line) for path in run.glob(f"{kind}-*.jsonl") for line in path.read_text().splitlines()]


def test_a_folder_with_20_photos_and_5_broken_files(capsys, tmp_path, model):
    folder = tmp_path / "photos"
    good = photos(folder, 20)
    broken_files(folder)
    output = tmp_path / "out"
    assert (
        main(["--images", f"{folder}/*.jpg", "--output", str(output), "--model", model, "--runner", "DirectRunner"])
        == 0
    )
    assert "25 images: 20 captioned, 5 failed, 0 skipped, 0 duplicates" in capsys.readouterr().err

    (run,) = output.iterdir()
    manifest = json.loads((run / "manifest.json").read_text())
    captions, failures = records(run, "captions"), records(run, "failures")
    assert sorted(record["uri"] for record in captions) == sorted(map(str, good))
    for record in captions:
        assert record["caption"] == record["captions"][0]["text"]
        assert record["caption"][0].isupper()
        assert record["caption"].endswith(".")
        assert record["score"] == record["captions"][0]["score"] <= 0
        assert record["model"] == manifest["model"]
        assert record["width"] > 0
        assert record["height"] > 0
    assert {(record["uri"].rpartition("/")[2], record["stage"], record["error"]) for record in failures} == {
        ("empty.jpg", "decode", "empty"),
        ("page.jpg", "decode", "not_an_image"),
        ("cut.jpg", "decode", "truncated"),
        ("noise.jpg", "decode", "not_an_image"),
        ("header.jpg", "decode", "truncated"),
    }
    assert all(record["message"] for record in failures)
    counts = manifest["counts"]
    assert (counts["input"], counts["captioned"], counts["failed"], counts["duplicates"]) == (25, 20, 5, 0)
    assert sum(manifest["failures_by_code"].values()) == 5
    assert (manifest["options"]["decode_deadline"], manifest["options"]["decode_memory"]) == (60.0, 2 << 30)
    assert manifest["devices"] in (["CPU"], ["CPU, bfloat16"])
    assert {"python", "apache-beam", "tensorflow"} <= set(manifest["versions"])


def test_a_list_with_duplicates_and_missing_files(tmp_path, model):
    uris = [str(path) for path in photos(tmp_path / "photos", 3)]
    missing = str(tmp_path / "photos" / "missing.jpg")
    (tmp_path / "uris.txt").write_text("\n".join([*uris, "", uris[0], f"  {uris[1]}  ", missing, missing]))
    output = tmp_path / "out"
    assert main(["--uris", str(tmp_path / "uris.txt"), "--output", str(output), "--model", model]) == 0
    (run,) = output.iterdir()
    counts = json.loads((run / "manifest.json").read_text())["counts"]
    assert (counts["input"], counts["captioned"], counts["failed"], counts["duplicates"]) == (7, 3, 1, 3)
    assert Counter(record["uri"] for record in records(run, "captions")) == dict.fromkeys(uris, 1)
    (failure,) = records(run, "failures")
    assert (failure["uri"], failure["stage"], failure["error"]) == (missing, "fetch", "not_found")


def test_captions_are_printed_on_request(capsys, tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = str(SAMPLES[0])
    argv = ["--images", photo, "--output", str(tmp_path / "out"), "--model", model, "--print_captions"]
    assert main(argv) == 0
    (line,) = capsys.readouterr().out.splitlines()
    score, uri, caption = line.split("\t")
    assert float(score) <= 0
    assert uri == photo
    assert caption.endswith(".")


def test_the_same_name_in_two_folders_is_two_images(capsys, tmp_path, model, monkeypatch):
    for folder, photo in zip(("a", "b"), photos(tmp_path, 2), strict=True):
        (tmp_path / folder).mkdir()
        photo.rename(tmp_path / folder / "photo[1].jpg")
        (tmp_path / folder / "list.csv").write_text("uri\nphoto[1].jpg\n./photo[1].jpg\n")
    argv = ["--output", str(tmp_path / "out"), "--model", model, "--print_captions"]
    asked = [("a", "--images", "*.jpg"), ("b", "--images", "photo[1].jpg"), ("b", "--uris", "*.csv")]
    for folder, *source in asked:
        monkeypatch.chdir(tmp_path / folder)
        assert main([*source, *argv]) == 0
    captured = capsys.readouterr()
    assert [line.split("\t")[1] for line in captured.out.splitlines()] == ["photo[1].jpg"] * 2
    assert "2 images: 0 captioned, 0 failed, 1 skipped, 1 duplicate " in captured.err
    found = {record["uri"] for run in (tmp_path / "out").iterdir() for record in records(run, "captions")}
    assert found == {str(tmp_path / folder / "photo[1].jpg") for folder in ("a", "b")}


def test_options_for_input_may_be_repeated():
    options = parse(["--images", "a", "b", "--uris", "x", "--images", "c", "--uris=y", "--output", "out"])
    assert (options.images, options.uris) == (["a", "b", "c"], ["x", "y"])
    again = PipelineOptions.from_dictionary(options.get_all_options()).view_as(CaptionOptions)  # as workers get them
    assert (again.images, again.uris) == (options.images, options.uris)


def test_rows_that_could_not_be_read_are_not_tried_again(capsys, tmp_path, model):
    (tmp_path / "list.csv").write_bytes(b"uri,title\nnone.jpg,x\ngone.jpg,\xe9t\xe9\n")
    argv = ["--output", str(tmp_path / "out"), "--model", model, "--carry", "title"]
    assert main(["--uris", str(tmp_path / "list.csv"), *argv]) == 0
    assert "2 images: 0 captioned, 2 failed, 0 skipped, 0 duplicates" in capsys.readouterr().err
    assert main(["--uris", f"{tmp_path}/out/run=*/failures-*.jsonl", *argv]) == 0
    assert "1 image: 0 captioned, 1 failed (1 known), 0 skipped, 0 duplicates" in capsys.readouterr().err
