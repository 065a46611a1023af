"""The wheel, installed into an environment of its own, outside the checkout: nothing that it needs is left behind."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA_FOLDERS = ("beam_job/default_model", *(f"beam_job/{room}/assets" for room in ("pages", "report", "review")))


def run(*command, cwd, quiet=False, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not quiet or not re.search("WARNING|I0000", done.stderr), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("build", reason="the package build is not installed: pip install build")
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "tests", "captions")
    shutil.copytree(ROOT, folder / "checkout", ignore=left_out)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, folder / "checkout", cwd=folder)
    (found,) = folder.glob("*.whl")
    shutil.rmtree(folder / "checkout")
    return found


def test_it_holds_what_is_read_at_run_time(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= {"beam_job/py.typed", "beam_job/default_model/weights.npz"}
    assert names >= {"train/py.typed", "train/models/imagenet_labels.tsv"}
    for folder in DATA_FOLDERS:
        files = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert {name for name in names if name.startswith(f"{folder}/")} == files
    assert not [name for name in names if name.startswith(("tests", "examples", "benchmarks"))]


@pytest.mark.parametrize("dependencies", ["of this environment", pytest.param("installed", marks=pytest.mark.slow)])
def test_it_captions_a_photo_elsewhere(wheel, tmp_path, dependencies):
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    bin_ = tmp_path / "venv" / "bin"
    install = [sys.executable, "-m", "pip", "--python", bin_ / "python", "install", "--quiet", wheel]
    if dependencies == "installed":
        run(*install, cwd=tmp_path)
    else:
        # The path of the dependencies alone: an editable install of this checkout beside them is not followed.
        (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        run(*install, "--no-deps", "--force-reinstall", cwd=tmp_path)
    place = run(bin_ / "python", "-c", "import beam_job; print(beam_job.__file__)", cwd=tmp_path).strip()
    assert Path(place).is_relative_to(tmp_path)

    shutil.copy(ROOT / "samples" / "cat.jpg", tmp_path)
    caption = [bin_ / "caption-images", "--images", "cat.jpg", "--output", "out", "--runner=DirectRunner", "--report"]
    run(*caption, cwd=tmp_path)
    (shard,) = (tmp_path / "out").glob("run=*/captions-*.jsonl")
    record = json.loads(shard.read_text())
    assert record["caption"].endswith(".")
    assert list((tmp_path / "out").glob("run=*/report.html"))

    shutil.copy(ROOT / "examples" / "own_pipeline.py", tmp_path)
    shown = run(bin_ / "python", "own_pipeline.py", "cat.jpg", "gone.jpg", cwd=tmp_path, quiet=True)
    assert "cat.jpg A" in shown
    assert "gone.jpg not_found" in shown
