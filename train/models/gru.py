"""A GRU layer that trains fast on CPUs: only the computation that depends on the previous step is inside the loop.

Keras's own layer multiplies the inputs by their weights at every step, and its gradient adds up the weights' gradient
at every step. Here each of the two is one product over all steps. On GPUs cuDNN does this itself.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import layers

from beam_job.devices import gpus


class GRU(layers.GRU):
    """``keras.layers.GRU`` with Keras's own activations and biases, and without a mask, faster on CPUs.

    Weights and outputs are the same.
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Called by Keras; returns the last output, all outputs [batch, length, units] and the last state."""
        state = initial_state[0] if isinstance(initial_state, list | tuple) else initial_state
        # A single word needs no loop at all, and no kernel of cuDNN's, which a CPU could not run after the export.
        if sequences.shape[1] == 1:
            last, _ = self.cell(sequences[:, 0], state, training=training)
            return last, last[:, None], [last]
        if gpus():
            return super().inner_loop(sequences, initial_state, mask, training)
        inputs_bias, state_bias = tf.unstack(tf.convert_to_tensor(self.cell.bias))
        projected = tf.tensordot(tf.transpose(sequences, [1, 0, 2]), self.cell.kernel.value, 1) + inputs_bias
        states = _recurrence(projected, state, tf.convert_to_tensor(self.cell.recurrent_kernel), state_bias)
        return states[-1], tf.transpose(states, [1, 0, 2]), [states[-1]]


@tf.custom_gradient
def _recurrence(
    projected: tf.Tensor, state: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
    """All states [length, batch, units] of a GRU that resets after its product (Cho et al. 2014, in cuDNN's variant).

    z = sigmoid(x_z + h U_z), r = sigmoid(x_r + h U_r), c = tanh(x_c + r * (h U_c)), new h = z * h + (1 - z) * c

    Args:
      projected: x, the inputs times their weights [length, batch, 3 * units].
      state: h at the start [batch, units].
      kernel: U [units, 3 * units].
      bias: of the products with U [3 * units].
    """
    length, units = tf.shape(projected)[0], state.shape[-1]

    def forward(now: tf.Tensor, h: tf.Tensor, *kept: tf.TensorArray) -> tuple[Any, ...]:
        x_z, x_r, x_c = tf.split(projected[now], 3, axis=-1)
        u_z, u_r, u_c = tf.split(tf.matmul(h, kernel) + bias, 3, axis=-1)
        z, r = tf.sigmoid(x_z + u_z), tf.sigmoid(x_r + u_r)
        c = tf.tanh(x_c + r * u_c)
        new = c + z * (h - c)
        return now + 1, new, *(array.write(now, value) for array, value in zip(kept, (new, z, r, c, u_c), strict=True))

    empty = [tf.TensorArray(projected.dtype, length, element_shape=[None, units]) for _ in range(5)]
    loop = tf.while_loop(lambda now, *_: now < length, forward, (0, state, *empty))
    states, z, r, c, u_c = (array.stack() for array in loop[2:])

    def gradient(d_states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        before = tf.concat([state[None], states[:-1]], axis=0)
        to_c, to_z, to_r = (1 - z) * (1 - c * c), (before - c) * z * (1 - z), u_c * r * (1 - r)

        def backward(now: tf.Tensor, dh: tf.Tensor, dx: tf.TensorArray, du: tf.TensorArray) -> tuple[Any, ...]:
            dh += d_states[now]
            dc = dh * to_c[now]
            d_gates = [dh * to_z[now], dc * to_r[now]]
            dx = dx.write(now, tf.concat([*d_gates, dc], axis=-1))
            d_product = tf.concat([*d_gates, dc * r[now]], axis=-1)
            return (
                now - 1,
                dh * z[now] + tf.matmul(d_product, kernel, transpose_b=True),
                dx,
                du.write(now, d_product),
            )

        empty = [tf.TensorArray(projected.dtype, length, element_shape=[None, 3 * units]) for _ in range(2)]
        _, dh, dx, du = tf.while_loop(lambda now, *_: now >= 0, backward, (length - 1, tf.zeros_like(state), *empty))
        d_products = tf.reshape(du.stack(), [-1, 3 * units])
        d_kernel = tf.matmul(tf.reshape(before, [-1, units]), d_products, transpose_a=True)
        return dx.stack(), dh, d_kernel, tf.reduce_sum(d_products, axis=0)

    return states, gradient
