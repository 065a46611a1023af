"""The example program: URIs first, Beam's options after them. (test_wheel.py runs it over a photo.)"""

import pytest

from examples.own_pipeline import main


def test_beams_options_may_follow_the_images(tmp_path, capsys):
    main([str(tmp_path / "one.jpg"), str(tmp_path / "two.jpg"), "--runner", "FnApiRunner", "--direct_num_workers=1"])
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[:2] for line in lines) == [
        [str(tmp_path / "one.jpg"), "not_found"],
        [str(tmp_path / "two.jpg"), "not_found"],
    ]


def test_they_reach_beam(tmp_path):
    with pytest.raises(ValueError, match="NoSuchRunner"):
        main([str(tmp_path / "one.jpg"), "--runner", "NoSuchRunner"])


def test_no_image_is_an_error(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "URI" in capsys.readouterr().err
