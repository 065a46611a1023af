"""Hints that can be copied: the pip of this environment, and programs by the name they were started with."""

import ast
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from beam_job.messages.invocation import SCRIPTS, pip_install, program

CHECKOUT = Path(__file__).parents[3]


def test_pip_is_the_one_of_this_environment(tmp_path):
    command = shlex.split(pip_install("pillow-heif"))
    assert command == [sys.executable, "-m", "pip", "install", "pillow-heif"]
    done = subprocess.run([*command[:3], "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pip ")
    assert pip_install("tensorflow[and-cuda]").endswith(" 'tensorflow[and-cuda]'")


def texts(path):
    """The strings of a module, without its docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [node.value for node in nodes if node.value not in docstrings]


def test_no_hint_names_a_pip_of_another_environment_or_folder():
    modules = [path for package in ("beam_job", "train") for path in (CHECKOUT / package).rglob("*.py")]
    assert len(modules) > 60
    assert [(path.name, text) for path in modules for text in texts(path) if "pip install" in text] == []


def console_scripts():
    """Script -> (module, function), as setup.py has them."""
    asked = {}
    with mock.patch("setuptools.setup", lambda **arguments: asked.update(arguments)):
        runpy.run_path(str(CHECKOUT / "setup.py"))
    return {
        name: place.split(":")
        for name, place in (line.split(" = ") for line in asked["entry_points"]["console_scripts"])
    }


def test_the_scripts_are_those_of_the_package():
    assert {*SCRIPTS.values()} == {*console_scripts()}


def test_a_program_has_the_name_it_was_started_with(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/home/me/.venv/bin/caption-images", "--help"])
    assert (program("beam_job"), program("beam_job.report")) == ("caption-images", "caption-report")
    monkeypatch.setattr(sys, "argv", [str(CHECKOUT / "beam_job" / "__main__.py")])
    assert program("train") == "python -m train"


def help_of(python, *command):
    environment = {"PYTHONPATH": str(CHECKOUT), "COLUMNS": "120"}
    command = [python, *command, "--help"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("module", "name"), SCRIPTS.items())
def test_help_of_a_script_names_the_script(module, name, python, tmp_path):
    where, function = console_scripts()[name]
    script = tmp_path / name
    script.write_text(f"import sys\nfrom {where} import {function}\nsys.exit({function}())\n")
    shown = help_of(python, script)
    assert shown.startswith(f"usage: {name} ")
    assert f"python -m {module}" not in shown


def test_help_of_a_module_names_the_module(python):
    shown = help_of(python, "-m", "beam_job")
    assert shown.startswith("usage: python -m beam_job ")
    assert "caption-images" not in shown


def test_the_documents_install_a_checkout_in_place():
    """Without -e an editable install becomes a copy, and what is edited afterwards changes nothing."""
    documents = [
        CHECKOUT / "CONTRIBUTING.md",
        CHECKOUT / "CHANGELOG.md",
    ]  # the README installs into another environment
    documents += [*(CHECKOUT / "docs").glob("*.md"), *(CHECKOUT / "beam_job" / "default_model").glob("*.md")]
    lines = [line for path in documents for line in path.read_text().splitlines()]
    assert [line for line in lines if re.search(r"pip install '?\.(\W|$)", line)] == []
