"""What can be said of the image and the template without building them: versions, files and names agree."""

import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from beam_job.cloud import template
from beam_job.cloud.dataflow import OWN_IMAGE
from beam_job.options import CaptionOptions
from flex_template.request import body, parameters

CHECKOUT = Path(__file__).parents[1]
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
INSTRUCTIONS = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()


def argument(name):
    return re.search(rf"^ARG {name}=(.*)$", DOCKERFILE, re.MULTILINE)[1]


def test_the_image_has_the_versions_that_the_tests_run_with():
    assert argument("BEAM_VERSION") == version("apache-beam")
    assert argument("TENSORFLOW_VERSION") == version("tensorflow")
    setup = (CHECKOUT / "setup.py").read_text()
    assert f"apache-beam[gcp]>={argument('BEAM_VERSION').rsplit('.', 1)[0]}" in setup
    assert f"tensorflow>={argument('TENSORFLOW_VERSION').rsplit('.', 1)[0]}" in setup


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the image has Python 3.11, the reference for launchers")
def test_the_image_has_the_python_that_the_tests_run_with():
    assert argument("PYTHON_VERSION") == f"{sys.version_info[0]}.{sys.version_info[1]}"


def locked(name):
    """Package -> version, of a file of requirements."""
    lines = (CHECKOUT / "image" / name).read_text().splitlines()
    assert "python image/lock.py" in lines[0]
    found = [re.fullmatch(r"(\S+)==(\S+) --hash=sha256:[0-9a-f]{64}", line) for line in lines[1:]]
    return {canonicalize_name(line[1]): line[2] for line in found}


def needed(requirement, extra="", seen=None):
    """The packages that a requirement asks for here, by the metadata of what is installed."""
    seen = set() if seen is None else seen
    name = canonicalize_name(requirement.name)
    if (name, extra) not in seen:
        seen.add((name, extra))
        for line in metadata.requires(name) or []:
            below = Requirement(line)
            if below.marker is None or below.marker.evaluate({"extra": extra}):
                for wanted in ("", *below.extras):
                    needed(below, wanted, seen)
    return {name for name, _ in seen}


def install_requires():
    """What setup.py asks for, without its extras."""
    asked = {}
    with mock.patch("setuptools.setup", lambda **arguments: asked.update(arguments)):
        runpy.run_path(str(CHECKOUT / "setup.py"))
    return [Requirement(line) for line in asked["install_requires"]]


REFERENCE = sys.version_info[:2] == (3, 11) and sysconfig.get_platform() == "linux-x86_64"


@pytest.mark.skipif(not REFERENCE, reason="the image has Python 3.11 on x86-64 Linux")
def test_the_image_installs_what_the_tests_run_with():
    """Everything that is needed, and nothing else, in the versions of this environment."""
    found = locked("requirements.txt")
    wanted = {name for asked in install_requires() for extra in ("", *asked.extras) for name in needed(asked, extra)}
    here = {name: metadata.version(name) for name in wanted}
    for own in ("setuptools", "wheel"):  # of the tools that build packages, the environment's own may be older
        assert found.pop(own, None), f"{own} is needed to install the package"
        here.pop(own, None)
    assert found == here, "run `python image/lock.py`"


def test_cudas_libraries_are_those_that_tensorflow_asks_for():
    found = locked("requirements-cuda.txt")
    asked = [Requirement(line) for line in metadata.requires("tensorflow")]
    asked = [line for line in asked if line.marker and line.marker.evaluate({"extra": "and-cuda"})]
    asked = {canonicalize_name(line.name): line.specifier for line in asked if line.name.startswith("nvidia-")}
    assert asked
    assert asked.keys() <= found.keys()
    assert all(asked[name].contains(found[name]) for name in asked)


def test_nothing_is_installed_without_its_version_and_digest():
    installs = [line for line in INSTRUCTIONS if "pip install" in line]
    assert len(installs) == 3
    for line in installs:
        assert "--no-deps" in line
        assert "--require-hashes" in line or "--no-build-isolation ." in line


@pytest.mark.slow
@pytest.mark.skipif(not REFERENCE, reason="the image has Python 3.11 on x86-64 Linux")
def test_the_requirements_install_and_are_all_that_is_needed(tmp_path):
    """The Dockerfile's commands without CUDA, in a fresh environment, with the base image's setuptools and wheel."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [python, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "install", "setuptools==79.0.1", "wheel==0.45.1"], check=True)
    exact = ["--require-hashes", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "install", *exact, "-r", CHECKOUT / "image" / "requirements.txt"], check=True)
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, copy)
    for name in ("beam_job", "train"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([*pip, "install", "--no-deps", "--no-build-isolation", copy], check=True)
    subprocess.run([*pip, "check"], check=True)


def test_one_python_everywhere():
    python = argument("PYTHON_VERSION")
    assert f"FROM python:{python}." in DOCKERFILE
    assert f"/python{python.replace('.', '')}-template-launcher-base@" in DOCKERFILE


def test_bases_are_pinned():
    stages = set()
    for line in INSTRUCTIONS:
        if line.startswith("FROM "):
            _, base, _, stage = line.split()
            by_digest = re.search(r"@sha256:[0-9a-f]{64}$", base)
            assert base in stages or "VARIANT" in base or by_digest or base.endswith(":${BEAM_VERSION}"), base
            stages.add(stage)
    assert {"libraries-gpu", "libraries-cpu"} <= stages


def test_the_dockerfile_is_clean():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, CHECKOUT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_there_and_not_ignored():
    kept = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    left_behind = (CHECKOUT / ".gcloudignore").read_text().split()
    lines = [line.split() for line in INSTRUCTIONS if line.startswith("COPY ") and "--from" not in line]
    copied = {source for _, *sources, _ in lines for source in sources}
    for source in copied:
        assert (CHECKOUT / source).exists()
        assert source.split("/")[0] in kept
        assert source.split("/")[0] not in left_behind
    assert {"beam_job", "train", "setup.py", "flex_template/main.py"} <= copied


def test_launcher_and_worker_are_one_image():
    assert "FLEX_TEMPLATE_PYTHON_PY_FILE=/template/main.py" in DOCKERFILE
    assert 'ENTRYPOINT ["/opt/apache/beam/boot"]' in DOCKERFILE
    assert f"ENV {OWN_IMAGE}=${{IMAGE}}" in DOCKERFILE
    build = (CHECKOUT / "cloudbuild.yaml").read_text()
    assert "--build-arg=IMAGE=${_IMAGE}" in build
    for name in re.findall(r"--build-arg=([A-Z]+)=", build):
        assert f"ARG {name}=" in DOCKERFILE


def test_the_templates_metadata_is_made_of_the_options():
    made = (CHECKOUT / "flex_template" / "metadata.json").read_text()
    assert made == template.to_text(), "run `python -m beam_job.cloud.template > flex_template/metadata.json`"


def test_every_option_is_a_parameter_or_local_on_purpose():
    names = {parameter["name"] for parameter in template.metadata()["parameters"]}
    assert names | {*template.LOCAL} == {*CaptionOptions([]).get_all_options(current_only=True)}


def test_parameters_follow_the_clouds_rules():
    for parameter in template.metadata()["parameters"]:
        assert parameter["label"]
        assert parameter["helpText"].endswith((".", ").")) or "(default:" in parameter["helpText"], parameter
        for regex in parameter["regexes"]:
            re.compile(regex)
            assert regex.startswith("^"), regex
            assert regex.endswith("$"), regex


def test_defaults_match_their_own_regular_expressions():
    options = CaptionOptions([])
    for parameter in template.metadata()["parameters"]:
        default = getattr(options, parameter["name"])
        if default not in (None, [], ""):
            text = str(default).lower() if isinstance(default, bool) else str(default)
            assert all(re.search(regex, text) for regex in parameter["regexes"]), (parameter, default)


OPTIONS = ["--images", "gs://b/*.jpg", "--output=gs://b/captions"]


def test_the_jobs_options_become_parameters():
    found = body(
        "nightly",
        "gs://b/t.json",
        ["maxWorkers=20", 'additionalUserLabels={"team":"archive"}'],
        [*OPTIONS, "--recaption"],
    )
    assert found == {
        "launchParameter": {
            "jobName": "nightly",
            "containerSpecGcsPath": "gs://b/t.json",
            "parameters": {"images": "gs://b/*.jpg", "output": "gs://b/captions", "recaption": "true"},
            "environment": {"maxWorkers": 20, "additionalUserLabels": {"team": "archive"}},
        }
    }


def test_no_switch_is_a_false_one():
    assert parameters([*OPTIONS, "--no_require_gpu"], template.metadata())["require_gpu"] == "false"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "gs://b/*.jpg"], "--output is missing"),
        (["--output", "gs://b/captions"], "nothing to caption"),
        ([*OPTIONS, "--colour=blue"], "--colour: the template has no such parameter"),
        ([*OPTIONS, "--output=gs://c/d"], "--output is there twice"),
        ([*OPTIONS, "--beam_width=wide"], "--beam_width wide: it must match"),
        (["--images", "gs://b/1", "gs://b/2", "--output=gs://b/o"], "gs://b/2: a template's parameter takes one value"),
        (["--images", "photos/*.jpg", "--output=gs://b/o"], "--images photos/*.jpg: it must match"),
        ([*OPTIONS, "--print_captions"], "--print_captions: the template has no such parameter"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match="^.*" + re.escape(message)):
        parameters(options, template.metadata())
