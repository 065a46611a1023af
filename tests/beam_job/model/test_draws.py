"""The random numbers of samples."""

import numpy as np

from beam_job.model.draws import uniforms


def test_a_draw_depends_on_seed_name_and_its_number_alone():
    found = uniforms(0, ["a.jpg", "b.jpg"], range(3), 40).reshape([2, 3, 40])
    assert found.dtype == np.float32
    assert ((found >= 0) & (found < 1)).all()
    assert len(np.unique(found)) > 235  # none is another's
    np.testing.assert_array_equal(uniforms(0, ["b.jpg"], range(2, 3), 40)[0], found[1, 2])
    np.testing.assert_array_equal(uniforms(0, ["a.jpg"], range(1), 10)[0], found[0, 0, :10])
    assert not np.isin(uniforms(1, ["a.jpg"], range(3), 40), found[0]).any()


def test_names_need_not_be_valid_text():
    assert uniforms(0, ["\udcff.jpg"], range(1), 2).shape == (1, 2)


def test_numbers_stay_what_they_were():
    found = uniforms(0, ["a.jpg"], range(1), 3)
    assert found.tolist() == [[0.0981181263923645, 0.054683148860931396, 0.6482099890708923]]
