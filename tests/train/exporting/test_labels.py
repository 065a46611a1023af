"""The classifier beside a captioner: what it says is kept while the encoder learns, and fitted again after."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from beam_job.model.answer.labels import Labels
from tests.train.colours import add_tiny_encoder
from train.data.batches import Batches
from train.data.examples import EncodedCaptions
from train.exporting.labels import refit
from train.fitting.teacher_forcing import fit
from train.models.classifier import Classifier
from train.models.decoder import build_decoder
from train.models.encoders import Encoder, build_encoder
from train.models.fine_tuning import SplitEncoder, split_encoder, with_tail
from train.recipe import DEFAULT

CHANNELS, CLASSES = 12, 8
FEATURES = np.random.default_rng(0).normal(size=[200, 1, 4, CHANNELS]).astype(np.float16)
LABELS = Labels(tuple(f"class {number}" for number in range(CLASSES)), ((),) * CLASSES)


def classifier() -> Classifier:
    kernel = np.random.default_rng(1).normal(size=[CHANNELS, CLASSES]).astype(np.float32)
    return Classifier(kernel, np.eye(CLASSES, dtype=np.float32), np.arange(CLASSES, dtype=np.float32) / 10, LABELS)


def tail(change: float) -> keras.Model:
    """The features times a matrix that is the identity where ``change`` is 0."""
    seen = keras.Input([4, CHANNELS])
    dense = keras.layers.Dense(CHANNELS, use_bias=False)
    model = keras.Model(seen, dense(seen))
    noise = np.random.default_rng(2).normal(size=[CHANNELS, CHANNELS])
    dense.set_weights([np.eye(CHANNELS) + change * noise])
    return model


def split(change: float) -> SplitEncoder:
    trunk = Encoder("none", 1, keras.Model(seen := keras.Input([4, CHANNELS]), seen))
    return SplitEncoder(trunk, tail(change), tail(0.0))


def logits(made: Classifier, encoder: SplitEncoder) -> np.ndarray:
    feature_map = FEATURES[:, 0].astype(np.float32)
    return made.logits(encoder.tail(feature_map) if encoder.tail else feature_map).numpy()


def test_without_fine_tuning_the_classifier_stays_what_it_was() -> None:
    frozen = SplitEncoder(split(0.0).trunk, None)
    made = refit(classifier(), FEATURES, frozen, rank=CLASSES)
    np.testing.assert_allclose(logits(made, frozen), logits(classifier(), frozen), atol=1e-3)
    assert made.labels is LABELS


def test_it_is_fitted_to_the_tuned_features() -> None:
    wanted = logits(classifier(), split(0.0))
    unfitted = np.abs(logits(classifier(), split(0.2)) - wanted).mean()
    fitted = np.abs(logits(refit(classifier(), FEATURES, split(0.2), rank=CLASSES), split(0.2)) - wanted).mean()
    assert fitted < 0.3 * unfitted


def test_a_lower_rank_is_smaller_and_keeps_most() -> None:
    wanted = logits(classifier(), split(0.0))
    errors = []
    for rank in (7, 4, 1):
        made = refit(classifier(), FEATURES, split(0.0), rank)
        assert (made.down.shape, made.up.shape) == ((CHANNELS, rank), (rank, CLASSES))
        errors.append(np.square(logits(made, split(0.0)) - wanted).mean())
    assert errors[0] < errors[1] < errors[2] < np.square(wanted - wanted.mean(axis=0)).mean()


def test_fewer_photos_than_channels_with_large_features() -> None:
    few = (200 * FEATURES[:8]).astype(np.float16)
    frozen = SplitEncoder(split(0.0).trunk, None)
    made, before = refit(classifier(), few, frozen, rank=CLASSES), classifier()
    seen = few[:, 0].astype(np.float32)
    np.testing.assert_allclose(made.logits(seen), before.logits(seen), rtol=1e-3, atol=0.1)


@pytest.mark.parametrize(("weight", "kept"), [(0.0, False), (30.0, True)])
def test_training_keeps_what_the_classifier_says(weight: float, kept: bool) -> None:
    add_tiny_encoder()
    encoder = build_encoder("tiny", weights=None)
    keras.utils.set_random_seed(0)
    recipe = replace(
        DEFAULT, hidden_size=8, batch_size=8, epochs=8, learning_rate=0.05, dropout=0.0, encoder_learning_rate=1.0,
        fine_tune_encoder=True, label_weight=weight, mixed_precision=False,
    )  # fmt: skip
    channels = encoder.model.output_shape[-1]
    kernel = np.random.default_rng(1).normal(size=[channels, CLASSES]).astype(np.float32)
    labelled = Classifier(kernel, np.eye(CLASSES, dtype=np.float32), np.zeros(CLASSES, np.float32), LABELS)
    parts = split_encoder(encoder, recipe)
    assert parts.tail
    assert parts.before
    decoder = with_tail(build_decoder(recipe, channels, 10), parts.tail, parts.before, labelled)
    seen = np.random.default_rng(3).normal(size=[16, 1, *parts.tail.input_shape[1:]]).astype(np.float16)
    captions = EncodedCaptions(np.arange(16), [[1, 4 + number % 6, 2] for number in range(16)], np.zeros(16, int))
    fit(decoder, recipe, Batches(seen, captions, pad_id=0, batch_size=8, seed=0), pad_id=0)
    said, says = (labelled.logits(part(seen[:, 0].astype(np.float32))).numpy() for part in (parts.before, parts.tail))
    spread = said.std()
    assert (np.abs(says - said).mean() < 0.1 * spread) == kept
