"""Folding a function: the same values with less work."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.graph import bind, fold, from_signature, share

SHAPE = [None, 12, 10, 4]


class Blocks(tf.Module):
    """Convolutions as an encoder has them, before a normalisation that is a constant and before one that is not."""

    def __init__(self):
        super().__init__()
        random = np.random.default_rng(0)
        self.kernel = tf.Variable(random.normal(size=(3, 3, 4, 2)), dtype=tf.float16)
        self.dense = tf.Variable(random.normal(size=(1, 1, 8, 8)), dtype=tf.float16)
        self.variance, self.mean, self.gain, self.offset = (
            tf.Variable(random.uniform(0.5, 2, size=8), dtype=tf.float16) for _ in range(4)
        )

    @tf.function(input_signature=[tf.TensorSpec(SHAPE, tf.float32, "images")])
    def encode(self, images):
        kernel, dense, variance, mean, gain, offset = (
            tf.cast(each, tf.float32)
            for each in (self.kernel, self.dense, self.variance, self.mean, self.gain, self.offset)
        )
        made = tf.nn.depthwise_conv2d(images, kernel, [1, 2, 2, 1], "SAME")
        made = tf.nn.relu6(tf.nn.batch_normalization(made, mean, variance, offset, gain, 1e-3))
        made = tf.nn.batch_normalization(tf.nn.conv2d(made, dense, 1, "SAME"), mean, variance, offset, gain, 1e-3)
        gated = tf.nn.depthwise_conv2d(images, kernel, [1, 1, 1, 1], "SAME")
        gated = gated * tf.reduce_mean(gated, axis=[1, 2], keepdims=True) + offset
        return {"folded": made, "gated": gated}


def test_folded_blocks_give_the_same_values_with_the_scale_inside_the_kernel():
    module = Blocks()
    function = from_signature(module.encode.get_concrete_function())
    fold(function)
    folded = tf.function(bind(function)).get_concrete_function(images=tf.TensorSpec(SHAPE))
    images = tf.constant(np.random.default_rng(1).normal(size=(3, 12, 10, 4)), tf.float32)
    made, expected = folded(images=images), module.encode(images)
    for name in ("folded", "gated"):
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-5, atol=1e-5)
    assert behind(folded.graph, "DepthwiseConv2dNative") == {"BiasAdd", "Mul", "Mean"}
    assert behind(folded.graph, "Conv2D") == {"BiasAdd"}
    assert "Rsqrt" not in {op.type for op in folded.graph.get_operations()}
    assert {values.dtype for values in function.weights.values()} == {np.dtype(np.float32)}


def test_a_model_may_have_been_made_on_a_machine_with_a_gpu():
    module = Blocks()
    function = from_signature(module.encode.get_concrete_function())
    for node in function.graph_def.node:
        node.device = "/device:GPU:0"
    fold(function)
    assert "Rsqrt" not in {node.op for node in function.graph_def.node}


THREADS = """
import sys
from pathlib import Path

import tensorflow as tf

getattr(tf.config.threading, f"set_{sys.argv[1]}_op_parallelism_threads")(int(sys.argv[2]))
from beam_job.model.directory import open_model
from beam_job.model.graph.load import open_functions
from beam_job.model.graph import fold

for function in open_functions(open_model()):
    fold(function)
tf.linalg.matmul(tf.ones([500, 500]), tf.ones([500, 500]))
print(len(list(Path("/proc/self/task").iterdir())))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["intra", "inter"])
def test_folding_leaves_the_number_of_threads_as_the_host_program_has_it(kind):
    one, many = (
        int(subprocess.check_output([sys.executable, "-c", THREADS, kind, count]).split()[-1]) for count in ("1", "33")
    )
    assert 20 < many - one < 45


def behind(graph, kind):
    """The operations that use what operations of that kind give."""
    made = [op.outputs[0] for op in graph.get_operations() if op.type == kind]
    return {consumer.type for tensor in made for consumer in tensor.consumers()}


class Step(tf.Module):
    """A step of a decoder with attention; ``averaged`` also uses the features in a way of its own."""

    def __init__(self, averaged):
        super().__init__()
        random = np.random.default_rng(0)
        table, kernel, out = (random.normal(size=shape) for shape in ((11, 5), (5, 6), (6, 4)))
        self.table, self.kernel, self.out = (tf.Variable(each, dtype=tf.float16) for each in (table, kernel, out))
        self.averaged = averaged

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int32, "tokens"),
            tf.TensorSpec([None, 6], tf.float32, "state"),
            tf.TensorSpec([None, 3, 6], tf.float32, "features"),
        ]
    )
    def decode_step(self, tokens, state, features):
        table, kernel, out = (tf.cast(each, tf.float32) for each in (self.table, self.kernel, self.out))
        query = tf.tanh(tf.matmul(tf.gather(table, tokens[:, None])[:, 0], kernel) + state)[:, None]
        attention = tf.nn.softmax(tf.matmul(query, features, transpose_b=True))
        seen = tf.matmul(attention, features)[:, 0]
        if self.averaged:
            seen += tf.reduce_mean(features, axis=1)
        return {"logits": tf.matmul(seen, out), "attention": attention[:, 0], "state": query[:, 0]}


@pytest.mark.parametrize("averaged", [False, True])
def test_hypotheses_share_the_features_of_their_image_and_words_are_multiplied_once(averaged):
    module = Step(averaged)
    function = from_signature(module.decode_step.get_concrete_function())
    fold(function)
    by_image = share(function, "features")
    random = np.random.default_rng(1)
    features = tf.constant(random.normal(size=(4, 3, 6)), tf.float32)
    state = tf.constant(random.normal(size=(12, 6)), tf.float32)
    tokens = tf.constant(random.integers(0, 11, 12), tf.int32)
    step = tf.function(bind(function, "features", by_image)).get_concrete_function(
        tokens=tf.TensorSpec([None], tf.int32), state=tf.TensorSpec([None, 6]), features=tf.TensorSpec([None, 3, 6])
    )
    expected = module.decode_step(tokens=tokens, state=state, features=tf.repeat(features, 3, axis=0))
    made = step(tokens=tokens, state=state, features=features)
    for name, values in expected.items():
        np.testing.assert_allclose(made[name], values, rtol=1e-5, atol=1e-5)
    operations = step.graph.get_operations()
    products = [op.inputs[0].shape[1] for op in operations if op.type == "BatchMatMulV2"]
    assert (products == [1, 1]) == averaged  # one hypothesis each where the features are repeated
    assert sum(op.type == "MatMul" for op in operations) == 1  # the output layer
    assert any(op.type == "GatherV2" and op.inputs[0].shape == (11, 6) for op in operations)
