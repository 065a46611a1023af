"""The random numbers of samples."""

import numpy as np

from beam_job.model.draws import uniforms


def test_a_draw_depends_on_seed_name_and_its_number_alone():
    found = {uri: uniforms(0, uri, range(3), 40) for uri in ("a.jpg", "b.jpg")}
    both = np.stack([*found.values()])
    assert (both.shape, both.dtype) == ((2, 3, 40), np.float32)
    assert ((both >= 0) & (both < 1)).all()
    assert len(np.unique(both)) > 235  # none is another's
    np.testing.assert_array_equal(uniforms(0, "b.jpg", range(2, 3), 40)[0], found["b.jpg"][2])
    np.testing.assert_array_equal(uniforms(0, "a.jpg", range(1), 10)[0], found["a.jpg"][0, :10])
    assert not np.isin(uniforms(1, "a.jpg", range(3), 40), found["a.jpg"]).any()


def test_names_need_not_be_valid_text():
    assert uniforms(0, "\udcff.jpg", range(1), 2).shape == (1, 2)


def test_numbers_stay_what_they_were():
    found = uniforms(0, "a.jpg", range(1), 3)
    assert found.tolist() == [[0.0981181263923645, 0.054683148860931396, 0.6482099890708923]]
