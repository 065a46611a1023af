"""Local files and folders named by URIs."""

import json

import pytest

from beam_job.cli import main
from beam_job.images.local_path import local_path
from beam_job.plan import main as plan
from beam_job.report import ReportError, write_report
from tests.photos import photos
from tests.tiny_model import write_tiny_model


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("file:///a/b.jpg", "/a/b.jpg"),
        ("file://localhost/a/b.jpg", "/a/b.jpg"),
        ("FILE:///a/b%20%C3%A9%25.jpg", "/a/b é%.jpg"),
        ("/a/b%20c.jpg", "/a/b%20c.jpg"),
        ("a.jpg", "a.jpg"),
        ("gs://b/file:///a", "gs://b/file:///a"),
    ],
)
def test_the_path_of_a_uri(name, path):
    assert local_path(name) == path


@pytest.mark.parametrize("name", ["file://host/a", "file://a.jpg", "file:///a%00b"])
def test_uris_that_name_no_local_file(tmp_path, capsys, name):
    with pytest.raises(ValueError, match=r"^(A local file's URI is file:///PATH|The path contains a zero byte)"):
        local_path(name)
    with pytest.raises(ReportError, match=name):
        write_report(name)
    assert main(["--images", "x", "--output", name]) == 2
    assert f"--output {name}: " in capsys.readouterr().err


@pytest.mark.usefixtures("colours")
def test_an_output_by_its_uri_is_the_folder_by_its_path(tmp_path, capsys):
    write_tiny_model(tmp_path / "model")
    photos(tmp_path / "photos", 2)
    output = tmp_path / "out put"
    uri = f"file://{tmp_path}/out%20put"
    argv = ["--images", f"{tmp_path}/photos/*.jpg", "--model", str(tmp_path / "model"), "--output"]
    for name, captioned in ((uri, 2), (str(output), 0), (uri, 0)):
        before = set(output.glob("run=*"))
        assert main([*argv, name]) == 0
        (run,) = set(output.glob("run=*")) - before
        manifest = json.loads((run / "manifest.json").read_text())
        assert (manifest["output"], manifest["counts"]["captioned"]) == (str(output), captioned)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "model", output, tmp_path / "photos"]
    first = min(output.iterdir())
    assert write_report(uri) == str(output / "report.html")
    assert write_report(uri, to=f"file://{tmp_path}/a%20page.html") == f"{tmp_path}/a page.html"
    capsys.readouterr()
    assert plan(["--images", "9", "--workers", "1", "--run", f"{uri}/{first.name}"]) == 0
