"""Three captioned images of walls and seas, as random features, and a decoder that has learned nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import keras
import numpy as np

from beam_job.model.vocabulary import Vocabulary
from train.data.text import build_vocabulary
from train.models.decoder import Decoder, build_decoder
from train.recipe import DEFAULT

# The images have numbers with gaps, as where one is broken.
WALLS = {1: ("a red wall", "a wall"), 3: ("the blue sea",), 6: ("a red sea", "the sea is red")}
FEATURES = np.random.default_rng(0).normal(size=(8, 1, 3, 4)).astype(np.float16)
RECIPE = replace(DEFAULT, hidden_size=16, max_caption_length=5)


def untrained(references: Mapping[int, Sequence[str]]) -> tuple[Decoder, Vocabulary]:
    vocabulary = build_vocabulary([caption for captions in references.values() for caption in captions], 100)
    keras.utils.set_random_seed(0)
    return build_decoder(RECIPE, 4, len(vocabulary)), vocabulary
