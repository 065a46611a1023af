"""Functions on disk: read back as they were, equal files for equal functions, and both format versions alike."""

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import open_model
from beam_job.model.graph import bind, from_signature, read_functions, write_functions
from beam_job.model.manifest import ModelError
from tests.tiny_model import write_tiny_model


class Pair(tf.Module):
    """Two functions with a weight each, one with an output named like its input."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(np.arange(6), dtype=tf.float16)
        self.shift = tf.Variable(np.arange(6) - 2, dtype=tf.float16)

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, "images")])
    def encode(self, images):
        return {"features": images * tf.cast(self.scale, tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, "state")])
    def decode_step(self, state):
        return {"state": state + tf.cast(self.shift, tf.float32), "logits": state}


def functions(module):
    weights = {"decoder/shift": module.shift, "encoder/scale": module.scale}
    return {
        name: from_signature(getattr(module, name).get_concrete_function(), weights)
        for name in ("encode", "decode_step")
    }


def test_functions_are_read_back(tmp_path):
    module = Pair()
    write_functions(tmp_path, functions(module))
    found = read_functions(tmp_path, 2)
    images = tf.constant(np.random.default_rng(0).normal(size=(3, 6)), tf.float32)
    np.testing.assert_array_equal(
        tf.function(bind(found["encode"]))(images=images)["features"], module.encode(images)["features"]
    )
    made = tf.function(bind(found["decode_step"]))(state=images)
    for name, values in module.decode_step(images).items():
        np.testing.assert_array_equal(made[name], values)
    with np.load(tmp_path / "weights.npz") as weights:
        assert sorted(weights.files) == ["decoder/shift", "encoder/scale"]
        assert weights["decoder/shift"].dtype == np.float16


def test_equal_functions_are_equal_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_functions(tmp_path / name, functions(Pair()))
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_both_versions_caption_alike(tmp_path):
    pixels = [np.random.default_rng(row).integers(0, 256, (16, 16, 3), np.uint8) for row in range(5)]
    found = []
    for version in (1, 2):
        write_tiny_model(tmp_path / str(version), format_version=version)
        model = open_model(tmp_path / str(version))
        assert model.manifest.format_version == version
        captioner = Captioner(model, Decoding(num_captions=2), 8, full_precision=True)
        found.append(captioner.caption(pixels, [""] * 5))
    assert found[0] == found[1]


@pytest.mark.parametrize("file", ["encode.pb", "weights.npz"])
def test_what_is_no_graph_is_refused(tmp_path, file, monkeypatch):
    write_tiny_model(tmp_path / "model")
    model = open_model(tmp_path / "model")
    (tmp_path / "model" / file).write_bytes(b"\xff" * 100)
    monkeypatch.setattr(type(model), "check_unchanged", lambda self: None)
    with pytest.raises(ModelError, match="export the model again"):
        Captioner(model, Decoding(), 1)
