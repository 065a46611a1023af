"""What the benchmarks make of their samples; the benchmarks themselves run with `make bench`."""

from xml.etree import ElementTree

import pytest
from PIL import Image

from benchmarks.measurement import Measurement
from benchmarks.page import page
from benchmarks.photographs import photographs
from benchmarks.subjects import shows

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
    for plot in html.split("<svg ")[1:]:
        ElementTree.fromstring("<svg " + plot.partition("</svg>")[0] + "</svg>")


def test_photographs_are_of_one_size_and_all_different(tmp_path):
    made = photographs(tmp_path / "photos", 17, (64, 48))
    assert {Image.open(path).size for path in made} == {(64, 48)}
    assert len({path.read_bytes() for path in made}) == 17


def test_half_of_the_references_decide_what_a_photograph_shows():
    told = ("a cat sleeps", "a kitten on a bed", "an animal", "a dog")
    assert shows(told, {"cat", "kitten"})
    assert not shows(told, {"bed", "sofa"})
