"""Imports point one way, room by room: each part uses those before it and none behind it, so there is no circle."""

import ast
import shutil
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A name is a folder, or a module on top. Within a folder modules are only kept from making circles.
ORDER = {
    "beam_job": [
        ["messages"],
        ["files"],
        ["pages"],
        ["records", "metrics", "devices"],
        ["images/pixels/formats", "images/pixels/tiff", "images/pixels", "images"],
        ["listing"],
        ["model/answer", "model/graph", "model"],
        ["runs"],
        ["terminal"],
        ["trust"],
        ["report"],
        ["review"],
        ["batching", "options"],
        ["cloud"],
        ["pipeline"],
        ["command_line", "outcome", "inspect", "plan"],
        ["cli", "export"],
        ["prune"],
        ["__main__"],
    ],
    "train": [
        ["errors", "recipe", "progress"],
        ["models", "data"],
        ["fitting"],
        ["exporting", "evaluation"],
        ["curves", "inputs", "outcome"],
        ["run"],
        ["cli"],
        ["__main__"],
    ],
}
_TYPES_ONLY = "TYPE_CHECKING"


@cache
def imported(text: str) -> set[str]:
    """Modules of this project that a file imports, by dotted names; those of type checkers alone do not count."""
    found = set()
    tree = ast.parse(text)
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", None) == _TYPES_ONLY
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ORDER}


def modules(root: Path, package: str) -> dict[str, set[str]]:
    """Each module, and the modules that it imports."""
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (root / package).rglob("*.py")
    }

    def module(name: str) -> str:
        while name not in paths and "." in name:
            name = name.rpartition(".")[0]
        return name

    return {name: {module(used) for used in imported(path.read_text())} - {name} for name, path in paths.items()}


def room(package: str, module: str) -> str:
    inner = module.removeprefix(f"{package}").lstrip(".").replace(".", "/")
    names = sorted((name for level in ORDER[package] for name in level), key=len, reverse=True)
    return next((name for name in names if inner == name or inner.startswith(f"{name}/")), inner)


def wrong_arrows(root: Path) -> list[str]:
    wrong = []
    for package, order in ORDER.items():
        level = {name: number for number, names in enumerate(order) for name in names}
        for module, used in modules(root, package).items():
            if module == package:  # the front door
                continue
            if room(package, module) not in level:
                wrong.append(f"{module} is in no room")
                continue
            for other in used:
                if not other.startswith(package):
                    if package == "beam_job":
                        wrong.append(f"{module} -> {other}")
                elif other != package and level[room(package, other)] > level[room(package, module)]:
                    wrong.append(f"{module} -> {other}")
    return sorted(wrong)


def circle(root: Path) -> list[str]:
    """Modules that import each other in a circle, empty where there is none."""
    graph = {name: used for package in ORDER for name, used in modules(root, package).items() if name != package}
    while free := {name for name, used in graph.items() if not used & graph.keys()}:
        graph = {name: used for name, used in graph.items() if name not in free}
    return sorted(graph)


def test_every_arrow_points_up():
    assert wrong_arrows(ROOT) == []


def test_there_is_no_circle():
    assert circle(ROOT) == []


def test_no_folder_holds_more_than_twelve_modules():
    for package in (*ORDER, "benchmarks"):
        for folder in [ROOT / package, *(path.parent for path in (ROOT / package).rglob("__init__.py"))]:
            assert len([path for path in folder.glob("*.py") if path.stem != "__init__"]) <= 12, folder


@pytest.mark.parametrize(
    ("file", "line", "arrow"),
    [
        (
            "beam_job/images/fetch.py",
            "from beam_job.listing import rows",
            "beam_job.images.fetch -> beam_job.listing.rows",
        ),
        ("beam_job/records.py", "import beam_job.cli", "beam_job.records -> beam_job.cli"),
        ("beam_job/model/search.py", "    from train import recipe", "beam_job.model.search -> train"),
        ("train/data/text.py", "from train.fitting.cider import Cider", "train.data.text -> train.fitting.cider"),
    ],
)
def test_a_turned_arrow_is_found(file, line, arrow, tmp_path):
    for package in ORDER:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("default_model", "*.pyc"))
    path = tmp_path / file
    path.write_text(f"{path.read_text()}\n\nif True:\n    {line.strip()}\n")
    assert arrow in wrong_arrows(tmp_path)


def test_a_circle_within_a_room_is_found(tmp_path):
    for package in ORDER:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("default_model", "*.pyc"))
    path = tmp_path / "beam_job" / "images" / "download.py"
    path.write_text(f"{path.read_text()}\nfrom beam_job.images import fetch\n")
    assert "beam_job.images.download" in circle(tmp_path)
