"""Starting from an exported model: its encoder, and if wanted its decoder, with nothing to download.

model = open_model(DEFAULT_MODEL)
encoder = load_encoder(model)
recipe = shaped_like(model, recipe)
vocabulary = extended(model.vocabulary, build_vocabulary(captions, size=20_000))
load_decoder(model, build_decoder(recipe, channels, len(vocabulary)))
"""

from collections.abc import Iterator
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from beam_job.model.directory import OpenModel
from beam_job.model.manifest import SAVED_MODEL, WEIGHTS
from beam_job.model.vocabulary import Vocabulary
from train.errors import TrainError
from train.exporting.export import CLASSIFIER
from train.models.classifier import Classifier
from train.models.decoder import Decoder
from train.models.encoders import ENCODERS, Encoder, build_encoder
from train.recipe import Recipe, current_names


class StartError(TrainError):
    """A model that training can't start from; the message says why and what to do."""


def load_encoder(model: OpenModel, size: int | None = None) -> Encoder:
    """The encoder of an exported model, frozen, with its classifier if it has one.

    All weights were stored in half precision. ``size`` is the height and width of the images in pixels, the model's own
    if left out.

    Raises:
      StartError: the model was not exported by ``train``.
    """
    manifest = model.manifest
    if manifest.encoder not in ENCODERS:
        raise StartError(f"{model.directory}: its encoder {manifest.encoder} is not one that train knows.")
    encoder = build_encoder(manifest.encoder, weights=None, size=size or manifest.image.height)
    for weight, stored in _stored(model, "encoder", encoder.model):
        if weight.shape != stored.shape:
            raise StartError(f"{model.directory}: its encoder's {weight.path} has another shape than this release's.")
        weight.assign(stored)
    encoder = encoder._replace(classifier=_load_classifier(model))
    model.check_unchanged()
    return encoder


def _load_classifier(model: OpenModel) -> Classifier | None:
    if not model.labels:
        return None
    weights = _read_weights(model)
    try:
        down, up, bias = (weights[name].astype(np.float32) for name in CLASSIFIER)
    except KeyError as error:
        raise StartError(f"{model.directory}: it has labels, but lacks {error}: export it with train.") from error
    return Classifier(down, up, bias, model.labels)


def shaped_like(model: OpenModel, recipe: Recipe) -> Recipe:
    """The recipe, with the settings that decide the shape of the decoder's weights taken from the model."""
    trained = current_names(model.manifest.training.get("recipe", {}))
    try:
        shape = {name: trained[name] for name in ("decoder", "hidden_size", "tie_embeddings")}
    except KeyError as error:
        raise StartError(
            f"{model.directory}: its manifest does not say with which {error} it was trained: use its encoder alone "
            "with --fresh_decoder."
        ) from error
    # A model that learned capitals keeps them; one that did not may still learn them.
    return replace(recipe, **shape, lowercase=recipe.lowercase and trained.get("lowercase", True))


def extended(vocabulary: Vocabulary, more: Vocabulary) -> Vocabulary:
    """The words of a model with their ids, then those that are new."""
    return Vocabulary([*vocabulary.tokens, *(token for token in more.tokens if token not in vocabulary)])


def load_decoder(model: OpenModel, decoder: Decoder) -> None:
    """Sets a fresh decoder's weights to those of the model; rows of words that the model does not know stay fresh.

    Args:
      model: to start from.
      decoder: of the shape that ``shaped_like`` gives, its vocabulary the model's own or one extended from it.

    Raises:
      StartError: the decoder has another shape.
    """
    for part, network in (("bridge", decoder.bridge), ("decoder", decoder.network)):
        for weight, stored in _stored(model, part, network):
            known = tuple(slice(size) for size in stored.shape)
            values = np.array(weight.numpy())
            if values.ndim != stored.ndim or values[known].shape != stored.shape:
                raise StartError(
                    f"{model.directory}: its decoder's {weight.path} is {stored.shape} and the recipe's is "
                    f"{values.shape}: do not --set decoder, hidden_size or tie_embeddings, or use its encoder alone "
                    "with --fresh_decoder."
                )
            values[known] = stored
            weight.assign(values)
    model.check_unchanged()


def _stored(model: OpenModel, part: str, network: keras.Model) -> Iterator[tuple[keras.Variable, np.ndarray]]:
    """Each weight of a network with what ``ExportedModel`` stored for it, float32."""
    weights = _read_weights(model)
    for index, weight in enumerate(network.weights):
        name = f"{part}/{index:03d}/{weight.name}"
        if name not in weights:
            raise StartError(f"{model.directory}: it lacks {name}: export it with train.")
        yield weight, weights[name].astype(np.float32)


def _read_weights(model: OpenModel) -> dict[str, np.ndarray]:
    """Every weight by its name, as stored."""
    if model.manifest.format_version > 1:
        with np.load(model.directory / WEIGHTS, allow_pickle=False) as weights:
            return dict(weights)
    reader = tf.train.load_checkpoint(str(model.directory / SAVED_MODEL / "variables" / "variables"))
    start, end = "weights/", "/.ATTRIBUTES/VARIABLE_VALUE"
    keys = [key for key in reader.get_variable_to_shape_map() if key.startswith(start) and key.endswith(end)]
    names = [key.removeprefix(start).removesuffix(end).replace(".S", "/") for key in keys]  # .S is written for /
    return {name: reader.get_tensor(key) for name, key in zip(names, keys, strict=True)}
