"""The fast GRU against Keras's own: the same outputs, and the same gradient of everything that it depends on."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from train.models.gru import GRU


@pytest.mark.parametrize("length", [1, 2, 7])
@mock.patch("train.models.gru.gpus", return_value=[])  # on a GPU Keras's own is used
def test_outputs_and_gradients_are_those_of_keras(gpus: mock.Mock, length: int) -> None:
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    sequences = tf.constant(random.normal(size=(3, length, 5)), tf.float32)
    state = tf.constant(random.normal(size=(3, 4)), tf.float32)
    weights = [random.normal(size=shape).astype(np.float32) for shape in ((5, 12), (4, 12), (2, 12))]

    def run(kind: type[layers.GRU]) -> list[np.ndarray]:
        gru = kind(4, return_sequences=True, return_state=True)
        gru.build(sequences.shape)
        gru.set_weights(weights)

        @tf.function
        def both() -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch([sequences, state])
                outputs, last = gru(sequences, initial_state=state)
                goal = tf.reduce_sum(outputs**2) + tf.reduce_sum(tf.sin(last))
            return [outputs, last, *tape.gradient(goal, [sequences, state, *(v.value for v in gru.weights)])]

        return [np.asarray(value) for value in both()]

    for ours, theirs in zip(run(GRU), run(layers.GRU), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
