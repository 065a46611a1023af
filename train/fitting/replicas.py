"""Training on several GPUs: each takes its part of every batch, and together they take the step of the whole batch.

strategy = strategy_for(recipe)        # of tf.distribute: all GPUs, or the one device, where nothing changes
with strategy.scope():
    decoder, optimizer = ...           # what is built here has its variables on every device

Each device then does this, by ``strategy.run``:

(tokens,) = part(tokens)
gradients = ...                        # of a loss that is divided by what the whole batch holds, not this part
optimizer.apply(summed(gradients), variables)
"""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from beam_job.devices import gpus
from train.recipe import Recipe

_DRAWS = 2**27  # of dropout: more than a training makes on one device; Keras counts them modulo 2**31 - 2


def strategy_for(recipe: Recipe, devices: Sequence[str] | None = None) -> tf.distribute.Strategy:
    """How the steps of a run are shared.

    Args:
      recipe: at most as many devices are used as its smallest step has examples.
      devices: TensorFlow's names, ``GPU:0``; all GPUs that it sees if left out, which CUDA_VISIBLE_DEVICES decides.

    Returns:
      ``MirroredStrategy`` for two devices and more; TensorFlow's default for one, under which all is as without.
    """
    if recipe.fine_tune_encoder:  # the encoder was built outside the strategy
        return tf.distribute.get_strategy()
    if devices is None:
        devices = [f"GPU:{number}" for number in range(len(gpus()))]
    of_one_image = max(
        recipe.captions_per_image_per_batch,
        recipe.self_critical_samples_per_image if recipe.self_critical_epochs else 1,
    )
    examples = recipe.batch_size // of_one_image
    used = tuple(devices[:examples])
    return _mirrored(used) if len(used) > 1 else tf.distribute.get_strategy()


def in_words(strategy: tf.distribute.Strategy) -> str:
    """The devices in words: ``2 GPUs``."""
    kind, number = "GPU" if gpus() else "CPU", strategy.num_replicas_in_sync
    return f"{number} {kind}s, which share each batch" if number > 1 else f"one {kind}"


def part(*batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """This device's rows of each tensor: every n-th, so that no row is lost and long captions are spread evenly."""
    context = tf.distribute.get_replica_context()
    here, devices = context.replica_id_in_sync_group, context.num_replicas_in_sync
    return batch if devices == 1 else tuple(tensor[here::devices] for tensor in batch)


def summed(gradients: list[Any]) -> list[Any]:
    """The gradients of all devices together, the same on each. ``train.fitting.optimizer`` expects them."""
    context = tf.distribute.get_replica_context()
    return gradients if context.num_replicas_in_sync == 1 else context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)


def vary_dropout(variables: Sequence[keras.Variable]) -> None:
    """Gives each device different dropout masks; Keras gives all devices the same seeds and so the same masks.

    The state of a seed is a number and a count of draws: each device counts from a different start. The first device
      counts as a single device would, so a checkpoint, which has the state of the first one, is complete.

    Args:
      variables: of the model, among them the state of its seeds; call it before each pass.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return
    here = tf.cast(context.replica_id_in_sync_group, tf.int64)
    for variable in variables:
        if variable.name == "seed_generator_state":
            seed, drawn = tf.unstack(variable.value)
            variable.assign([seed, drawn % _DRAWS + here * _DRAWS])


@functools.cache  # in one process a second strategy would take the first one's sums for its own
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(list(devices))
