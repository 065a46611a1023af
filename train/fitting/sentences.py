"""Learning from sentences without photos: what words follow each other, before what a photo shows.

    learn_sentences(decoder, recipe, batches, pad_id=vocabulary.pad_id)

The decoder predicts each next word as in teacher forcing, of a blank image: the state starts at zero, and what it
attends to is zero. Captions without photos are easier to come by than captions with them.
"""

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from train.data.batches import Batches
from train.fitting.checkpoint import Checkpoint
from train.fitting.loop import History, Report
from train.fitting.precision import Precision
from train.fitting.teacher_forcing import fit
from train.models.decoder import Decoder
from train.recipe import Recipe

# In place of features [images, views, positions, channels]; two positions, since Keras warns of attention to one.
NO_IMAGE = np.zeros([1, 1, 2, 1], np.float16)


def learn_sentences(
    decoder: Decoder,
    recipe: Recipe,
    batches: Batches,
    *,
    pad_id: int,
    precision: Precision,
    strategy: tf.distribute.Strategy,
    checkpoint: Checkpoint,
    report: Report,
) -> History:
    """Trains the decoder's network in place, for the recipe's ``sentence_epochs``; its bridge stays as it is.

    Args:
      batches: of sentences, with ``NO_IMAGE`` as features.
      decoder, recipe, pad_id, precision, strategy, checkpoint, report: see ``train.fitting.teacher_forcing.fit``.
    """
    with strategy.scope():
        _, state, features = decoder.network.inputs
        image = keras.Input([None, 1])
        blank = [keras.ops.repeat(image, features.shape[-1], axis=-1)]
        blank.append(keras.ops.repeat(image[:, 0], state.shape[-1], axis=-1))
        without_image = Decoder(keras.Model(image, blank, name="no_image"), decoder.network)
    return fit(
        without_image,
        replace(recipe, epochs=recipe.sentence_epochs),
        batches,
        pad_id=pad_id,
        precision=precision,
        strategy=strategy,
        checkpoint=checkpoint,
        report=report,
    )
