"""Options on the command line, and as a Flex Template's launcher passes them."""

import pytest

from beam_job.cli import main
from beam_job.command_line import parse
from beam_job.terminal.arguments import OptionError

LAUNCHER = "--template_location=gs://b/job"


@pytest.mark.parametrize(
    "argv",
    [
        ["--batch_size", "32", "--new_option", "32"],
        ["--new_option", "32", "--batch_size", "32"],
        ["--new_option=32", "--batch_size=32", "--another"],
        ["--batch_size", "32", "--new_option", "7", "32", "--another", "--third", "32"],
        ["--another", "--batch_size", "32", "-x", "32"],
    ],
)
def test_a_launcher_drops_only_what_it_does_not_know(argv):
    options = parse([LAUNCHER, "--images", "gs://b/32", "32", *argv], launcher=True)
    assert (options.batch_size, options.images) == (32, ["gs://b/32", "32"])


@pytest.mark.parametrize("argv", [["--recaption", "false"], ["false", "--new_option", "1"]])
def test_a_launcher_does_not_drop_a_value_that_belongs_to_no_option(argv):
    with pytest.raises(OptionError, match=r"^false: there is no such option"):
        parse([LAUNCHER, *argv], launcher=True)


@pytest.mark.parametrize(
    ("images", "exclude", "form"),
    [
        ("gs://b/photos/**.jpg", "photos/private/*", "gs://b/photos/private/*"),
        ("gs://b/photos/**.jpg", "./photos/private/", "gs://b/photos/private/"),
        ("gs://b/*.jpg", "/photos", "gs://b/photos"),
        ("gs://b/*.jpg", "file:///photos/x", "gs://b/photos/x"),
        ("gs://b/*.jpg", "gs://c/photos", "gs://b/photos"),
        ("gs://b/*.jpg", "gs://b", "gs://b/FOLDER"),
        ("gs://b/*.jpg", "gs://{b,c}/x", "gs://b/x"),
        ("photos/*.jpg", "gs://b/photos/x", "photos/x"),
        ("photos/*.jpg", "s3://b/photos/x", "photos/x"),
    ],
)
def test_a_path_to_exclude_that_no_image_can_have_is_refused(images, exclude, form):
    with pytest.raises(OptionError) as raised:
        parse(["--images", images, "--exclude", "raw", exclude]).to_leave_out()
    assert f"--exclude: {exclude}: no glob of --images leads to such a path; write '{form}', or '**/" in str(
        raised.value
    )


def test_a_path_to_exclude_that_some_images_may_have_is_taken():
    paths = ["photos/private/*", "file:///photos/x", "gs://b/private", "raw", "**/raw/*.jpg", "*.tmp.jpg"]
    options = parse(["--images", "photos/**.jpg", "gs://b/**.jpg", "gs://c/*.jpg", "--exclude", *paths])
    assert options.to_leave_out().exclude == tuple(paths)
    assert parse(["--images", "gs://b/**.jpg", "--exclude", *paths[2:]]).to_leave_out().exclude == tuple(paths[2:])
    for bad, message in {
        "file://host/x": "file://host/x: A local file's URI is file:///PATH, without a host.",
        "gs://b/"
        + "{a,b}" * 10: "it expands to more than 1,000 patterns; use fewer braces and **, or list the images.",
    }.items():
        with pytest.raises(OptionError) as raised:
            parse(["--images", "gs://b/*", "--exclude", bad]).to_leave_out()
        assert str(raised.value) == f"--exclude: {message}"


def test_elsewhere_unknown_options_are_refused():
    with pytest.raises(OptionError, match=r"^--new_option 32: there is no such option or argument\. See --help\.$"):
        parse(["--batch_size", "32", "--new_option", "32"])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("--batch-size=32", "--batch_size"),
        ("--ouput", "--output"),
        ("--temp-location", "--temp_location"),
        ("--uri-fields", "--uri_field"),
    ],
)
def test_the_option_that_may_be_meant_is_named(written, meant):
    with pytest.raises(OptionError, match=rf"there is no such option or argument\. Did you mean {meant}\? See --help"):
        parse(["--images", "a", written])


@pytest.mark.parametrize(
    "written", ["true", "output", "--no_recaption", "--exclude_hidden", "--min_pixels", "--disallow_https", "-o"]
)
def test_no_option_is_meant_by_a_stray_value_or_by_the_opposite_of_one(written):
    with pytest.raises(OptionError, match=r"there is no such option or argument\. See --help\.$"):
        parse(["--images", "a", "--verbose", written])


def test_the_option_is_named_behind_a_stray_value():
    with pytest.raises(OptionError, match=r"^true --ouput: .* Did you mean --output\?"):
        parse(["--images", "a", "--verbose", "true", "--ouput"])


@pytest.mark.parametrize("written", ["id,album", "id, album", " id ,,album, "])
def test_blanks_around_the_names_of_carried_fields_are_none_of_theirs(written):
    options = parse(["--uris", "list.csv", "--carry", written])
    assert options.to_fields().carry == ("id", "album")
    assert options.carry == "id,album"  # as the manifest has it, and exports read it
    with pytest.raises(OptionError, match=r"^--carry caption: "):
        parse(["--carry", "id, caption"]).to_fields()


def test_versions_are_for_lists_alone():
    assert parse(["--uris", "list.csv", "--version_field", "v"]).to_fields().version == "v"
    with pytest.raises(OptionError, match=r"^--version_field works with --uris only"):
        parse(["--images", "*.jpg", "--version_field", "v"]).to_fields()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--images", "a.jpg", "caf\udce9/*.jpg"], "--images caf\\udce9/*.jpg: this name is not valid UTF-8."),
        (["--images=caf\udce9/*.jpg"], "--images caf\\udce9/*.jpg: this name is not valid UTF-8."),
        (["--images", "a.jpg", "--model", "\udcff"], "--model \\udcff: this name is not valid UTF-8."),
        (["--images", "a.jpg", "--output", "file:///tmp/caf%E9"], "--output file:///tmp/caf%E9: its name is not valid"),
    ],
)
def test_names_that_beam_cannot_pass_on_are_refused_with_their_option(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--output", "out", *argv]) == 2
    assert capsys.readouterr().err.startswith(f"beam_job: {message}")
    assert not list(tmp_path.iterdir())
