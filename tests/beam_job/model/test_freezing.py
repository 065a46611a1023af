"""Freezing a function: the same values, and batch normalisation gone from behind depthwise convolutions."""

import numpy as np
import tensorflow as tf

from beam_job.model.freezing import freeze

SHAPE = [None, 12, 10, 4]


class Blocks(tf.Module):
    """Depthwise convolutions as an encoder has them, one before its normalisation is a constant and one not."""

    def __init__(self):
        super().__init__()
        random = np.random.default_rng(0)
        self.kernel = tf.Variable(random.normal(size=(3, 3, 4, 2)), dtype=tf.float16)
        self.variance, self.mean, self.gain, self.offset = (
            tf.Variable(random.uniform(0.5, 2, size=8), dtype=tf.float16) for _ in range(4)
        )

    @tf.function(input_signature=[tf.TensorSpec(SHAPE, tf.float32, "images")])
    def encode(self, images):
        kernel, variance, mean, gain, offset = (
            tf.cast(each, tf.float32) for each in (self.kernel, self.variance, self.mean, self.gain, self.offset)
        )
        made = tf.nn.depthwise_conv2d(images, kernel, [1, 2, 2, 1], "SAME")
        made = tf.nn.relu6(tf.nn.batch_normalization(made, mean, variance, offset, gain, 1e-3))
        gated = tf.nn.depthwise_conv2d(images, kernel, [1, 1, 1, 1], "SAME")
        gated = gated * tf.reduce_mean(gated, axis=[1, 2], keepdims=True) + offset
        return {"folded": made, "gated": gated}


def test_frozen_blocks_give_the_same_values_with_the_scale_inside_the_kernel(tmp_path):
    module = Blocks()
    tf.saved_model.save(module, str(tmp_path), signatures={"encode": module.encode})
    loaded = tf.saved_model.load(str(tmp_path))
    frozen = tf.function(freeze(loaded.signatures["encode"])).get_concrete_function(images=tf.TensorSpec(SHAPE))
    images = tf.constant(np.random.default_rng(1).normal(size=(3, 12, 10, 4)), tf.float32)
    made, expected = frozen(images=images), loaded.encode(images)
    for name in ("folded", "gated"):
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-5, atol=1e-5)
    behind = {
        consumer.type
        for op in frozen.graph.get_operations()
        if op.type == "DepthwiseConv2dNative"
        for consumer in op.outputs[0].consumers()
    }
    assert behind == {"BiasAdd", "Mul", "Mean"}
