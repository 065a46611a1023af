"""The optimizer: Adam with the learning rate's schedule, gradient clipping, a lower rate for some variables, and loss
scaling in float16.

    rate = learning_rate(recipe, recipe.learning_rate, steps)
    optimizer = adam(rate, 5.0, precision, slow=decoder.slow, share=0.1)
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from train.fitting.precision import Precision
from train.recipe import Recipe

Rate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


def learning_rate(recipe: Recipe, highest: float, steps: int) -> Rate:
    """The recipe's schedule over that many steps: constant, or a warm-up and then a cosine decay to 0.

    Args:
      highest: the rate of a constant schedule, or at the end of the warm-up.
      steps: of the whole stage, warm-up included.
    """
    if recipe.schedule == "constant":
        return highest
    warmup = max(min(recipe.warmup_steps, steps // 10), 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=highest,
        warmup_steps=warmup,
        decay_steps=max(steps - warmup, 1),
    )


def adam(
    rate: Rate,
    clip_norm: float | None,
    precision: Precision,
    *,
    slow: Sequence[keras.Variable] = (),
    share: float = 1.0,
) -> keras.optimizers.Optimizer:
    """Adam. In float16, whose range is narrow, the loss is scaled up (Micikevicius et al. 2018).

    The variables in ``slow`` are trained at ``share`` times the rate.
    """
    optimizer = TwoRateAdam(rate, clip_norm, slow, share)
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer


class Adam(keras.optimizers.Adam):
    """Keras's Adam for gradients that ``train.fitting.replicas.summed`` has summed already.

    Keras would sum them too late: each device would first clip the gradients of its own part, and with a loss scale
    only the first device's would be checked for overflow.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars


class TwoRateAdam(Adam):
    """Adam with two rates, which Keras's own does not have."""

    def __init__(self, rate: Rate, clip_norm: float | None, slow: Sequence[keras.Variable], share: float):
        super().__init__(rate, global_clipnorm=clip_norm)
        self._slow, self._share = slow, share

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        """Called by Keras for each variable."""
        slow = {self._get_variable_index(one) for one in self._slow}
        share = self._share if self._get_variable_index(variable) in slow else 1.0
        super().update_step(gradient, variable, learning_rate * share)
