"""The package that ``--setup_file`` stages for workers."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.beam_job.cloud.arguments import arguments
from tests.cloud import BUCKET, dataflow_service
from tests.photos import SAMPLES
from tests.tiny_model import write_tiny_model

CHECKOUT = Path(__file__).parents[3]
WITHOUT_CREDENTIALS = """
import runpy
from apache_beam.internal.gcp import auth
auth._Credentials._credentials_init = True  # Beam would look for them for 20 seconds
runpy.run_module("beam_job", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def package(bucket, tmp_path_factory):
    """What ``--setup_file`` stages, taken from the bucket: the package with a model in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("beam_job", "train"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, copy)
    if not (copy / "beam_job" / "default_model").exists():
        write_tiny_model(copy / "beam_job" / "default_model")
    argv = arguments("--setup_file=./setup.py", "--job_name=packaged", image=None, model=None)
    with dataflow_service() as service:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_CREDENTIALS, *argv, f"--dataflow_endpoint={service.url}"],
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (job,) = service.jobs
    staged = [entry["location"] for entry in job["environment"]["workerPools"][0]["packages"]]
    (location,) = [path for path in staged if path.endswith(".tar.gz")]
    path = tmp_path_factory.mktemp("staged") / "package.tar.gz"
    bucket.blob(location.split("/", 2)[2]).download_to_filename(path)
    return path, copy, [blob.size for blob in bucket.client.list_blobs(BUCKET, prefix="staging/packaged")]


def test_the_model_is_staged_once(package):
    path, copy, sizes = package
    with tarfile.open(path) as archive:
        names = [member.name.split("/", 1)[-1] for member in archive if member.isfile()]
    shipped = [file.relative_to(copy).as_posix() for file in (copy / "beam_job" / "default_model").rglob("*")]
    shipped = [name for name in shipped if (copy / name).is_file()]
    assert shipped
    assert sorted(name for name in names if "default_model/" in name) == sorted(shipped)
    assert sum(sizes) < path.stat().st_size + 500_000, "beside the package there is nothing large in staging"


def caption_elsewhere(python, directory):
    """Captions a photo outside the checkout, with what is installed for ``python`` alone."""
    code = "import importlib.util; print(importlib.util.find_spec('beam_job').origin)"  # not imported, which takes long
    found = subprocess.run([python, "-P", "-c", code], cwd=directory, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(Path(python).parents[1]), found
    argv = ["--images", str(SAMPLES[0]), "--output", "out", "--runner=DirectRunner", "--print_captions"]
    done = subprocess.run(
        [python, "-P", "-m", "beam_job", *argv], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"\t{SAMPLES[0]}\t" in done.stdout


def test_what_is_staged_lacks_nothing(package, tmp_path):
    """The package unpacked into an environment that has its dependencies, but not the checkout."""
    import apache_beam

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{Path(apache_beam.__file__).parents[1]}\n")
    with tarfile.open(package[0]) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    shutil.copytree(unpacked / "beam_job", site / "beam_job")
    caption_elsewhere(tmp_path / "venv" / "bin" / "python", tmp_path)


@pytest.mark.slow
def test_what_is_staged_installs_and_captions_in_a_clean_environment(package, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", package[0]], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    caption_elsewhere(python, tmp_path)
