"""What the benchmarks make of their samples; the benchmarks themselves run with `make bench`."""

import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import open_model
from beam_job.records import Caption, Captions, Label
from benchmarks.__main__ import PARTS
from benchmarks.archive.plots import cost, memory, plot
from benchmarks.figures.measurement import Measurement
from benchmarks.figures.page import page
from benchmarks.inputs.photographs import photographs
from benchmarks.labels import names_its_class
from benchmarks.parts.peers import measure as peers
from benchmarks.parts.peers.batch_ends import BatchEnd, steady_rate
from benchmarks.send_buffer import arrived
from benchmarks.subjects import shows
from tests.tiny_model import LABELS, write_tiny_model
from train.evaluation.evaluate import caption_images

JOB = Measurement("rates", "job", "images/s", [9.0, 10.0, 5.0])
ENCODER = Measurement("rates", "encoder", "images/s", [10.0, 10.0, 10.0])


def test_ratios_are_taken_round_by_round():
    ratio = JOB.over(ENCODER, "ratios", ">= 0.9")
    assert ratio.samples == [0.9, 1.0, 0.5]
    assert (ratio.name, ratio.median, ratio.holds) == ("job / encoder", 0.9, True)
    assert "0.9 (0.5 to 1, n=3)  >= 0.9: holds" in str(ratio)


@pytest.mark.parametrize(
    ("goal", "holds"), [("", None), (">= 9", True), (">= 9.5", False), ("<= 9", True), ("<= 8", False)]
)
def test_a_goal_is_held_by_the_median(goal, holds):
    assert Measurement("g", "n", "s", JOB.samples, goal).holds is holds


def test_the_page_shows_every_sample_and_goal():
    html = page([JOB, ENCODER, JOB.over(ENCODER, "a < b", ">= 0.95")], {"processor": "x < y"})
    assert "x &lt; y" in html
    assert html.count('class="dot"') == 9
    assert html.count('class="goal"') == html.count("bar missed") == 1
    for drawn in html.split("<svg ")[1:]:
        ElementTree.fromstring("<svg " + drawn.partition("</svg>")[0] + "</svg>")


def test_photographs_are_of_one_size_and_all_different(tmp_path):
    made = photographs(tmp_path / "photos", 17, (64, 48))
    assert {Image.open(path).size for path in made} == {(64, 48)}
    assert len({path.read_bytes() for path in made}) == 17


def test_half_of_the_references_decide_what_a_photograph_shows():
    told = ("a cat sleeps", "a kitten on a bed", "an animal", "a dog")
    assert shows(told, {"cat", "kitten"})
    assert not shows(told, {"bed", "sofa"})


def test_a_caption_names_a_class_by_its_name_or_one_of_its_words():
    def image(text, *labels):
        return Captions([Caption(text, text.split(), 0.5, -1.0, True)], [Label(*label) for label in labels])

    found = [
        image("a cat sleeps", ("tabby", 0.8)),
        image("an egyptian cat", ("Egyptian cat", 0.9)),
        image("a croquet ball", ("croquet ball", 0.9)),
        image("a lakeside", ("lakeside", 0.9)),  # it has no words
        image("a caterpillar", ("tabby", 0.8)),
        image("grass", ("tabby", 0.8)),
        image("a cat sleeps", ("tabby", 0.7)),
        image("a cat sleeps", ("tabby", 0.6), ("Egyptian cat", 0.3)),
        image("a cat sleeps"),
    ]
    assert names_its_class(found, LABELS) == [True, True, True, True, False, False]


def test_a_great_bonus_lets_captions_name_the_class(tmp_path):
    write_tiny_model(tmp_path / "model", sharpness=1.5, labels=LABELS)
    model = open_model(tmp_path / "model")
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for path, pixels in zip(paths, np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8), strict=True):
        Image.fromarray(pixels).save(path)
    plain, favoured = (
        names_its_class(caption_images(Captioner(model, Decoding(label_bonus=bonus), 32), paths, 32), LABELS)
        for bonus in (0.0, 50.0)
    )
    assert len(plain) == len(favoured) > 5
    assert sum(favoured) > sum(plain)


def test_the_page_on_benchmarks_lists_every_part():
    told = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE)) == set(PARTS)


def test_a_steady_state_lasts_from_the_first_batch_to_the_last_but_two():
    ends = [BatchEnd(10.0, 32), BatchEnd(12.0, 32), BatchEnd(14.0, 8), BatchEnd(100.0, 32), BatchEnd(200.0, 32)]
    assert steady_rate(ends) == (32 + 8) / 4


@pytest.fixture
def compared(tmp_path, python_with_tensorflow, monkeypatch):
    """Compares programs over eight small photos with a tiny model, in one round."""
    monkeypatch.setattr(sys, "executable", str(python_with_tensorflow))
    # So small that the job does not decode them at a reduced scale, which would give it other pixels than the others.
    photos = photographs(tmp_path / "photos", 8, (30, 24))
    write_tiny_model(tmp_path / "model")

    def compare(breaking=()):
        for number in breaking:
            photos[number].write_bytes(b"no photo")
        (tmp_path / "out").mkdir()
        return list(peers.measure(tmp_path / "out", open_model(tmp_path / "model"), photos, batch_size=2, rounds=1))

    return compare


@pytest.fixture
def no_ray(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))


def names(measurements, group):
    return [measurement.name for measurement in measurements if measurement.group == group]


def test_without_ray_the_job_is_compared_with_a_loop_alone(compared, no_ray, capsys):
    found = compared()
    said = capsys.readouterr().err
    assert "Ray Data is left out, as it is not installed: " in said
    assert "pip install 'ray[data]'" in said
    assert names(found, peers.WHOLE) == names(found, peers.STEADY) == ["the hand-written program", "the job"]
    assert all(measurement.median > 0 for measurement in found)
    assert [(measurement.group, measurement.median) for measurement in found][-1] == (peers.CAPTIONS, 1)


@pytest.mark.slow
def test_ray_is_compared_where_it_is_installed(compared, capsys):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[data]'")
    found = compared()
    assert "not installed" not in capsys.readouterr().err
    everyone = ["Ray Data", "Ray Data, blocks of one batch", "the hand-written program", "the job"]
    assert names(found, peers.WHOLE) == names(found, peers.STEADY) == everyone
    assert [measurement.median for measurement in found if measurement.group == peers.CAPTIONS] == [1, 1, 1]


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (peers.BY_HAND, "the hand-written program failed: (.|\n)*cannot identify image"),
        (peers.JOB, "captioned 7 of 8 photos"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_program_that_does_not_caption_every_photo_is_not_compared(program, error, compared, monkeypatch):
    monkeypatch.setattr(peers, "programs", lambda: [program])
    with pytest.raises(RuntimeError, match=error):
        compared(breaking=[3])


def test_ratios_above_one_are_in_the_jobs_favour():
    whole = {peers.RAY: [30.0], peers.BY_HAND: [18.0], peers.JOB: [15.0]}
    steady = {peers.RAY: [60.0], peers.BY_HAND: [110.0], peers.JOB: [99.0]}
    told = "\n".join(str(measurement) for measurement in peers.compare(whole, steady))
    assert "Ray Data / the job: 2  >= 2: holds" in told
    assert "the hand-written program / the job: 1.2" in told
    assert "the job / Ray Data: 1.65" in told
    assert "the job / the hand-written program: 0.9  >= 0.95: MISSED" in told


def row(size, job, decoder):
    processes = {"job": {"cpu_seconds": job}, "decoder": {"cpu_seconds": decoder}}
    seen = [{"role": "job", "mebibytes": [[0, 10.0], [9, size]]}, {"role": "job", "mebibytes": [[0, 1.0]]}]
    return {"size": size, "figures": {"wall_seconds": 150, "processes": processes, "memory": seen}}


def test_plots_of_a_simulated_archive():
    rows = [row(1, 2.0, 0.2), row(101, 2.1, 0.3), row(1001, 3.0, 1.2)]
    lines = cost(rows)
    assert {name: [(x, pytest.approx(y)) for x, y in line] for name, line in lines.items()} == {
        "together": [(101, 2.0), (1001, 2.0)],
        "job": [(101, 1.0), (1001, 1.0)],
        "decoder": [(101, 1.0), (1001, 1.0)],
    }
    assert memory(rows) == {"job": [(0, 10.0), (9, 1001)]}
    for drawn in (plot("a < b", "images", "ms", lines, log=True), plot("c", "s", "MiB", memory(rows))):
        ElementTree.fromstring(drawn)
    assert "1,001" in plot("a", "images", "ms", lines, log=True)


def test_a_worker_that_sends_by_size_sends_every_element():
    assert arrived(20_000, 0)[::2] == (20_000, 0)
    assert arrived(400_000, 0)[::2] == (400_000, 0)  # in several portions
