"""Teacher forcing: given the words of a caption so far, the decoder learns to predict the next one.

    history = fit(decoder, recipe, batches, pad_id=vocabulary.pad_id, report=print_progress)

``batches`` holds the encoder's features. If the encoder's last stages are fine-tuned, they are part of the decoder, and
``batches`` holds the features before them.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import tensorflow as tf

from train.data.batches import Batch, Batches
from train.fitting.checkpoint import Checkpoint
from train.fitting.loop import History, Measured, Report, loop
from train.fitting.optimizer import adam, learning_rate
from train.fitting.precision import Precision, mixed
from train.fitting.replicas import part, summed, vary_dropout
from train.models.decoder import Decoder
from train.recipe import Recipe


def fit(
    decoder: Decoder,
    recipe: Recipe,
    batches: Batches,
    *,
    pad_id: int,
    precision: Precision = "float32",
    strategy: tf.distribute.Strategy | None = None,
    pretrained: bool = False,
    before: Measured | None = None,
    validate: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda step, measured: None,
) -> History:
    """Trains the decoder in place for the recipe's epochs, or until the dev CIDEr stops rising.

    Args:
      decoder: the models to train.
      recipe: epochs, patience, learning rate, schedule, label smoothing, label weight.
      batches: of features and captions.
      pad_id: id of padding; the loss ignores it.
      precision: of the products; see ``train.fitting.precision``.
      strategy: under which the decoder was built; see ``train.fitting.replicas``.
      pretrained, before, validate, checkpoint, report: see ``train.fitting.loop``.

    Returns:
      The mean loss of each epoch, in nats a word, and the results of ``validate``.
    """
    steps = recipe.epochs * batches.steps_per_epoch
    strategy = strategy or tf.distribute.get_strategy()
    bridge = decoder.labelled if decoder.labelled and recipe.label_weight else decoder.bridge
    rate = learning_rate(recipe, recipe.learning_rate, steps)
    with strategy.scope():
        optimizer = adam(rate, recipe.clip_norm, precision, slow=decoder.slow, share=recipe.encoder_learning_rate)
        optimizer.build(decoder.trainable_variables)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, *batches.features.shape[2:]], tf.float16),
            tf.TensorSpec([None, None, None], tf.int32),
        ]
    )
    def train_step(feature_map: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
        real = tf.math.count_nonzero(tokens[..., 1:] != pad_id, dtype=tf.float32)

        def learn(feature_map: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
            feature_map, tokens = part(feature_map, tokens)
            together = tf.shape(tokens)[1]
            tokens = tf.reshape(tokens, [-1, tf.shape(tokens)[2]])
            rows = tf.where(tokens[:, 0] != pad_id)[:, 0]  # the others fill up images with fewer captions
            tokens, image = tf.gather(tokens, rows), tf.cast(rows, tf.int32) // together
            vary_dropout(decoder.variables)
            with tf.GradientTape() as tape:
                features, state, *drift = bridge(tf.cast(feature_map, tf.float32), training=True)
                features, state = tf.gather(features, image), tf.gather(state, image)
                logits, _, _ = decoder.network([tokens[:, :-1], state, features], training=True)
                loss = caption_loss(logits, tokens[:, 1:], pad_id, recipe.label_smoothing, real=real)
                kept = recipe.label_weight * tf.reduce_mean(drift[0]) if drift else 0.0
                scaled = optimizer.scale_loss(loss + kept)
            variables = decoder.trainable_variables
            optimizer.apply(summed(tape.gradient(scaled, [variable.value for variable in variables])), variables)
            return loss

        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(learn, (feature_map, tokens)), axis=None)

    with mixed(precision), ThreadPoolExecutor(1) as pool:  # the next batch is read while this one trains
        ahead: dict[int, Future[Batch]] = {}

        def step(number: int) -> float:
            batch = ahead.pop(number, None) or pool.submit(batches.__getitem__, number)
            if number + 1 < steps:
                ahead[number + 1] = pool.submit(batches.__getitem__, number + 1)
            return float(train_step(*batch.result()))

        return loop(
            step,
            decoder,
            optimizer,
            epochs=recipe.epochs,
            steps_per_epoch=batches.steps_per_epoch,
            patience=recipe.patience,
            pretrained=pretrained,
            before=before,
            validate=validate,
            checkpoint=checkpoint,
            report=report,
        )


def caption_loss(
    logits: tf.Tensor, targets: tf.Tensor, pad_id: int, smoothing: float = 0.0, *, real: tf.Tensor | None = None
) -> tf.Tensor:
    """Cross-entropy in nats, mean over the real tokens of the batch.

    Args:
      logits: float32 [batch, length, vocabulary].
      targets: int32 [batch, length].
      pad_id: id whose positions are ignored.
      smoothing: share of each target's probability that is spread evenly over the vocabulary.
      real: number of real tokens in the whole batch, if this is a part of one.
    """
    chosen = tf.gather(logits, targets, batch_dims=2)
    losses = tf.reduce_logsumexp(logits, axis=-1) - (1 - smoothing) * chosen
    if smoothing:
        losses -= smoothing * tf.reduce_mean(logits, axis=-1)
    counts = tf.cast(targets != pad_id, losses.dtype)
    return tf.reduce_sum(losses * counts) / (tf.reduce_sum(counts) if real is None else real)
