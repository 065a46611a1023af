"""The published recipe's model with random weights, as the job wants it and as the notebook has it."""

from dataclasses import replace
from pathlib import Path

import keras

from beam_job.model.decoding import Decoding
from beam_job.model.directory import OpenModel, open_model
from beam_job.model.vocabulary import END, PADDING, START, UNKNOWN, Vocabulary
from benchmarks.parts.notebook import Notebook
from train.exporting.export import export
from train.models.decoder import Decoder, build_decoder
from train.models.encoders import Encoder, build_encoder
from train.recipe import REFERENCE

RECIPE = "InceptionResNetV2"
# Random weights don't know when to end. The longest caption of a batch decides how many steps the decoder takes, and
# that is about this many with a trained model.
_TOKENS = 16


def export_recipe(directory: Path) -> OpenModel:
    """Exports the recipe's model."""
    encoder, decoder, vocabulary = _recipe()
    export(directory, encoder, decoder, vocabulary, REFERENCE, training={}, licence="Random weights.")
    return open_model(directory)


def recipe_notebook() -> Notebook:
    """The same model, captioning the notebook's way."""
    return Notebook(*_recipe(), words_a_caption=_TOKENS)


def of_one_length(decoding: Decoding) -> Decoding:
    """Makes captions as long as a batch's longest, for a model that does not know when to end."""
    return replace(decoding, min_length=_TOKENS - 1, max_length=_TOKENS)


def _recipe() -> tuple[Encoder, Decoder, Vocabulary]:
    keras.utils.set_random_seed(0)
    encoder = build_encoder(RECIPE, weights=None)
    words = [PADDING, UNKNOWN, START, END]
    words += [f"word{number}" for number in range(REFERENCE.vocabulary_size - len(words))]
    return encoder, build_decoder(REFERENCE, encoder.model.output_shape[-1], len(words)), Vocabulary(words)
