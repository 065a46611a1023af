"""``from beam_job import CaptionImages, Decoding``: quick to import, and the rest stays private."""

import gc
import subprocess
import sys
import types
from pathlib import Path

import pytest

import beam_job
from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL
from beam_job.model.handler import CaptionHandler
from beam_job.model.manifest import read_manifest
from beam_job.pipeline import CaptionImages

ROOT = Path(__file__).parents[2]
IMPORTED = """
import sys
import beam_job
assert not {"apache_beam", "tensorflow", "numpy"} & sys.modules.keys()
from beam_job import CaptionImages, Decoding
CaptionImages(decoding=Decoding("greedy"))
assert "tensorflow" not in sys.modules
"""


RUN = """
import sys
from beam_job.__main__ import run
try:
    run()
except SystemExit as end:
    assert not end.code
assert "tensorflow" in sys.modules
assert "keras" not in sys.modules
"""


def test_the_job_does_not_import_keras(tmp_path: Path) -> None:
    """It takes up to a second: where scikit-learn is installed, Keras imports that too."""
    options = [f"--images={ROOT}/samples/cat.jpg", f"--output={tmp_path}/captions"]
    subprocess.run([sys.executable, "-c", RUN, *options], check=True)


def test_nothing_is_imported_before_it_is_used() -> None:
    subprocess.run([sys.executable, "-c", IMPORTED], check=True)


def test_two_names_are_public() -> None:
    names: dict[str, object] = {}
    exec("from beam_job import *", names)
    assert names.keys() - {"__builtins__"} == {"CaptionImages", "Decoding"}
    assert (names["CaptionImages"], names["Decoding"]) == (CaptionImages, Decoding)
    with pytest.raises(AttributeError, match="no attribute 'CaptionImage'"):
        _ = beam_job.CaptionImage


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_collection_is_as_the_host_program_has_it(collecting: bool, monkeypatch) -> None:
    seen = []

    class Captioner:
        fingerprint = device = ""

        def __init__(self, *_: object, **__: object) -> None:
            seen.append(gc.isenabled())

        def warm_up(self) -> None: ...

    module = types.ModuleType("beam_job.model.captioner")
    module.Captioner = Captioner  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "beam_job.model.captioner", module)
    handler = CaptionHandler(None, read_manifest(DEFAULT_MODEL).fingerprint, Decoding(), batch_size=1)
    before, frozen = gc.isenabled(), gc.get_freeze_count()
    (gc.enable if collecting else gc.disable)()
    try:
        handler.load_model().load()
        assert (seen, gc.isenabled(), gc.get_freeze_count()) == ([False], collecting, frozen)
    finally:
        (gc.enable if before else gc.disable)()
