"""Half precision: what is computed in bfloat16, what is not, and how far it is from single precision."""

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.graph import bind, fold, from_signature, halve
from beam_job.model.graph.nodes import by_name, in_order

BFLOAT16 = tf.bfloat16.as_datatype_enum


class Network(tf.Module):
    """Five convolutions with a shortcut between them, a product behind them, and a last one that gives logits."""

    def __init__(self, odd: bool = False):
        super().__init__()
        random = np.random.default_rng(0)
        self.kernels = [tf.Variable(random.normal(size=(3, 3, 8, 8)) / 8, dtype=tf.float32) for _ in range(5)]
        self.first = tf.Variable(random.normal(size=(3, 3, 3, 8)) / 5, dtype=tf.float32)
        self.hidden, self.out = (tf.Variable(random.normal(size=(8, n)) / 3, dtype=tf.float32) for n in (16, 8))
        self.words = tf.Variable(random.normal(size=(16, 20)) / 4, dtype=tf.float32)
        self.odd = odd

    @tf.function(input_signature=[tf.TensorSpec([None, 12, 12, 3], tf.uint8, "images")])
    def encode(self, images):
        made = tf.cast(images, tf.float32) / 127.5 - 1
        bias = self.out[0]  # one for all, in single precision and in half
        made = tf.nn.relu6(tf.nn.bias_add(tf.nn.conv2d(made, self.first, 1, "SAME"), bias))
        for kernel in self.kernels:
            new = tf.nn.relu6(tf.nn.bias_add(tf.nn.conv2d(made, kernel, 1, "SAME"), bias))
            made = tf.math.erf(new) if self.odd else made + new
        pooled = tf.reduce_mean(made, axis=[1, 2])
        hidden = tf.tanh(tf.matmul(pooled, self.hidden))
        return {"features": made, "logits": tf.matmul(hidden, self.words)}


def halved(odd: bool = False, keep: str = "logits"):
    module = Network(odd)
    function = from_signature(module.encode.get_concrete_function())
    fold(function)
    halve(function, keep)
    return module, function


def kinds(function, op):
    """Of each node of that kind, in order: whether it computes in bfloat16."""
    nodes = by_name(function.graph_def)
    found = [nodes[name] for name in in_order(function.graph_def) if nodes[name].op == op]
    return [node.attr["T"].type == BFLOAT16 for node in found]


def test_values_are_close_and_in_single_precision_again():
    module, function = halved()
    images = np.random.default_rng(1).integers(0, 256, (4, 12, 12, 3), np.uint8)
    made, expected = tf.function(bind(function))(images=tf.constant(images)), module.encode(images)
    for name, values in expected.items():
        assert made[name].dtype == tf.float32
        scale = float(tf.reduce_max(tf.abs(values)))
        difference = float(tf.reduce_max(tf.abs(made[name] - values)))
        assert 0 < difference < scale / 30


def test_the_first_convolutions_and_the_logits_stay_in_single_precision():
    _, function = halved()
    assert kinds(function, "Conv2D") == [False, False, True, True, True, True]
    assert kinds(function, "Relu6") == [False, False, True, True, True, True]
    assert kinds(function, "MatMul") == [True, False]
    assert kinds(function, "Mean") == [False]
    _, function = halved(keep="labels")  # which this one does not give
    assert kinds(function, "MatMul") == [True, True]


def test_weights_are_not_in_the_graph():
    _, function = halved()
    traced = tf.function(bind(function)).get_concrete_function(images=tf.TensorSpec([4, 12, 12, 3], tf.uint8)).graph
    constants = [op.get_attr("value") for op in traced.get_operations() if op.type == "Const"]
    assert max(len(value.tensor_content) for value in constants) < 576  # a kernel


def test_an_encoder_with_an_operation_that_is_not_known_keeps_its_convolutions():
    _, function = halved(odd=True)
    assert not any(kinds(function, "Conv2D"))
    assert kinds(function, "MatMul") == [True, False]


@pytest.mark.parametrize("rows", [1, 3, 16])
def test_no_image_depends_on_the_others(rows):
    _, function = halved()
    encode = tf.function(bind(function))
    images = np.random.default_rng(1).integers(0, 256, (20, 12, 12, 3), np.uint8)
    whole = encode(images=tf.constant(images))["features"].numpy()
    np.testing.assert_array_equal(encode(images=tf.constant(images[2 : 2 + rows]))["features"], whole[2 : 2 + rows])
