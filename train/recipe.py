"""Every number of the training recipe, in one place.

``REFERENCE`` is the published recipe (the course "Create Image Captioning Models" of Google's Advanced Solutions Lab),
number by number.
``DEFAULT`` measured better; each departure says why.
``SMALL_DATA`` measured best on thousands of photos, and takes longer (docs/ablation.md). The bundled model was trained
with it and a few other settings, which its model card names.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from train.errors import TrainError


class RecipeError(TrainError):
    """An invalid setting of the recipe; the message says which and why."""


# Earlier names of settings: manifests of models exported before hold them.
_RENAMED = {
    "width": "hidden_size",
    "tied": "tie_embeddings",
    "least_frequency": "min_frequency",
    "mirrored": "flip",
    "cropped": "corner_crops",
    "captions_together": "captions_per_image_per_batch",
    "fine_tuned": "fine_tune_encoder",
    "self_critical_draws": "self_critical_samples_per_image",
    "self_critical_repetition": "self_critical_repetition_penalty",
    "self_critical_share": "self_critical_interpolation",
}

# Lower bounds; a setting that may be None stays None.
_MINIMUM = {
    "image_size": 1,
    "hidden_size": 1,
    "vocabulary_size": 1,
    "min_frequency": 1,
    "max_caption_length": 2,  # a word and the end
    "captions_per_image": 1,
    "batch_size": 1,
    "captions_per_image_per_batch": 1,
    "sentence_epochs": 0,
    "epochs": 0,
    "patience": 1,
    "learning_rate": 0,
    "warmup_steps": 0,
    "clip_norm": 0,
    "encoder_learning_rate": 0,
    "label_weight": 0,
    "label_rank": 1,
    "self_critical_epochs": 0,
    "self_critical_samples_per_image": 2,  # each is compared with the others
    "self_critical_repetition_penalty": 0,
    "self_critical_learning_rate": 0,
}


@dataclass(frozen=True)
class Recipe:
    """What to build and how to train it.

    Attributes:
      image_size: height and width of the images in pixels; None for those of the encoder's own training.
      decoder: "reference" (one GRU; the image is used after it only) or "guided" (the image sets the initial state, and
          a second GRU receives the attended features).
      hidden_size: units of the embedding, of each GRU and of the projected image features.
      tie_embeddings: whether the embedding is the output layer too.
      vocabulary_size: maximum number of tokens, the four special ones included.
      lowercase: whether captions are put in lower case; false for languages that capitalise nouns, such as German.
      min_frequency: rarer words become ``[UNK]``.
      max_caption_length: in tokens, ``<end>`` included; longer captions are cut.
      captions_per_image: how many captions of each image are used; None for all.
      flip: whether each image is also used flipped horizontally, half of the time.
      corner_crops: whether the four corners of each image are further views of it, each as frequent as the others.
      dropout: rate for the embedding, the attended features and the last hidden layer.
      label_smoothing: share of the target's probability that is spread over all words.
      batch_size: captions in a step.
      captions_per_image_per_batch: captions of one image that are in a batch together. A fine-tuned encoder runs once
          for all of them.
      sentence_epochs: passes over the sentences without photos, if there are any, before all else.
      epochs: passes over the captions.
      patience: training ends after this many epochs without a better CIDEr on the dev set.
      learning_rate: Adam's, at its highest.
      schedule: "constant", or "cosine" from the learning rate down to zero.
      warmup_steps: steps in which the learning rate rises from zero.
      clip_norm: maximum norm of the gradient, over all variables together; None for no clipping.
      mixed_precision: whether to multiply in half precision where the device supports it, see
          ``train.fitting.precision``.
      fine_tune_encoder: whether the last stages of the encoder are trained too.
      encoder_learning_rate: learning rate of those stages, as a share of the decoder's.
      label_weight: of the loss that keeps ImageNet's classifier right while those stages change, in the first stage.
      label_rank: rank of the exported classifier's kernel: a smaller one takes less space, and is less exact.
      self_critical_epochs: epochs of the second stage, which is rewarded by CIDEr; 0 for no second stage.
      self_critical_samples_per_image: captions sampled for an image in a step of that stage; each is compared with the
          others.
      self_critical_dropout: whether ``dropout`` applies in that stage too, when sampled captions are learned from.
      self_critical_repetition_penalty: subtracted from the reward of a sampled caption for each repeated content word;
          the rest of the reward is its CIDEr, not times 100. English only: set 0 for other languages.
      self_critical_temperature: divides the logits when captions are sampled and when they are rewarded.
      self_critical_learning_rate: Adam's in that stage, at its highest.
      self_critical_interpolation: the exported weights are interpolated between the end of the first stage (0) and the
          end of the second (1).
    """

    image_size: int | None
    decoder: Literal["reference", "guided"]
    hidden_size: int
    tie_embeddings: bool
    vocabulary_size: int
    lowercase: bool
    min_frequency: int
    max_caption_length: int
    captions_per_image: int | None
    flip: bool
    corner_crops: bool
    dropout: float
    label_smoothing: float
    batch_size: int
    captions_per_image_per_batch: int
    sentence_epochs: int
    epochs: int
    patience: int
    learning_rate: float
    schedule: Literal["constant", "cosine"]
    warmup_steps: int
    clip_norm: float | None
    mixed_precision: bool
    fine_tune_encoder: bool
    encoder_learning_rate: float
    label_weight: float
    label_rank: int
    self_critical_epochs: int
    self_critical_samples_per_image: int
    self_critical_dropout: bool
    self_critical_repetition_penalty: float
    self_critical_temperature: float
    self_critical_learning_rate: float
    self_critical_interpolation: float

    def __post_init__(self) -> None:
        for name, minimum in _MINIMUM.items():
            value = getattr(self, name)
            if value is not None and not minimum <= value < math.inf:
                raise RecipeError(f"{name}={value}: it must be {minimum} or more.")
        if not 0 < self.self_critical_temperature < math.inf:
            raise RecipeError(f"self_critical_temperature={self.self_critical_temperature}: it must be more than 0.")
        if not 0 <= self.self_critical_interpolation <= 1:
            raise RecipeError(
                f"self_critical_interpolation={self.self_critical_interpolation}: it must be from 0 to 1."
            )
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(f"{name}={getattr(self, name)}: it must be 0 or more, and less than 1.")
        for name, used in (
            ("captions_per_image_per_batch", True),
            ("self_critical_samples_per_image", self.self_critical_epochs > 0),
        ):
            if used and getattr(self, name) > self.batch_size:
                raise RecipeError(f"{name}={getattr(self, name)}: a batch has room for {self.batch_size} only.")


REFERENCE = Recipe(
    image_size=None,
    decoder="reference",
    hidden_size=512,
    tie_embeddings=False,
    vocabulary_size=20_000,
    lowercase=True,
    min_frequency=1,
    max_caption_length=64,
    captions_per_image=1,
    flip=False,
    corner_crops=False,
    dropout=0.0,
    label_smoothing=0.0,
    batch_size=32,
    captions_per_image_per_batch=1,
    sentence_epochs=0,
    epochs=1,
    patience=1,
    learning_rate=1e-3,
    schedule="constant",
    warmup_steps=0,
    clip_norm=None,
    mixed_precision=False,
    fine_tune_encoder=False,
    encoder_learning_rate=0.1,
    label_weight=0.0,
    label_rank=256,
    self_critical_epochs=0,
    self_critical_samples_per_image=4,
    self_critical_dropout=False,
    self_critical_repetition_penalty=0.0,
    self_critical_temperature=1.0,
    self_critical_learning_rate=5e-5,
    self_critical_interpolation=1.0,
)

DEFAULT = Recipe(
    image_size=None,
    decoder="guided",
    hidden_size=512,
    tie_embeddings=False,
    vocabulary_size=20_000,
    lowercase=True,
    min_frequency=4,  # a word seen three times is memorised, not learned
    max_caption_length=40,  # the longest of Flickr8k has 36 words
    captions_per_image=None,  # five times the data at no cost
    flip=True,  # the meaning of a photo seldom depends on left and right
    corner_crops=False,  # needs three times the cache
    dropout=0.45,  # overfitting is the limit on thousands of photos
    label_smoothing=0.1,
    batch_size=128,
    captions_per_image_per_batch=1,  # a batch then holds captions of similar length
    sentence_epochs=1,
    epochs=10,
    patience=3,  # on a thousand photos a single worse epoch means little
    learning_rate=1.5e-3,
    schedule="cosine",
    warmup_steps=200,
    clip_norm=5.0,
    mixed_precision=True,  # takes half the time, with the same loss to two digits
    fine_tune_encoder=False,  # a step takes twice as long on a CPU; InceptionResNetV2's cache is three times as large
    encoder_learning_rate=0.1,  # the decoder starts from random weights, the encoder from ImageNet's
    label_weight=0.25,  # beside a caption loss of two to three nats a word
    label_rank=256,  # a fifth of the space, and the same class for 97 % of the photos of which it is sure
    self_critical_epochs=0,  # captions score higher, but differ less from each other
    self_critical_samples_per_image=4,
    self_critical_dropout=False,
    self_critical_repetition_penalty=0.0,
    self_critical_temperature=0.6,  # at 1 label smoothing's tail is sampled: a third of the greedy CIDEr
    self_critical_learning_rate=4e-5,  # Rennie et al. took 5e-5; at 1e-4 it collapses within an epoch
    self_critical_interpolation=1.0,
)

SMALL_DATA = replace(
    DEFAULT,
    corner_crops=True,
    batch_size=160,
    captions_per_image_per_batch=5,  # all captions of a photo, for one pass through the encoder's last stages
    fine_tune_encoder=True,  # ImageNet has almost no classes for people, and none for activities
    self_critical_epochs=9,
    self_critical_samples_per_image=5,
    self_critical_dropout=True,  # as in the first stage; not compared with a whole stage without it
    self_critical_repetition_penalty=0.3,  # about the difference in CIDEr between a worse caption and a better one
    self_critical_learning_rate=6e-5,
    self_critical_interpolation=0.65,  # captions score as high as at the end of the second stage, and are longer
)

RECIPES = {"reference": REFERENCE, "default": DEFAULT, "small_data": SMALL_DATA}


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Changes settings of a recipe, each given as ``name=value``: ``epochs=20``, ``flip=false``, ``clip_norm=null``.

    Raises:
      RecipeError: there is no such setting, or the value is of the wrong type.
    """
    changes = {}
    kinds = {field.name: field.type for field in fields(recipe)}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name in _RENAMED:
            raise RecipeError(f"{setting}: this setting is now called {_RENAMED[name]}.")
        if not equals or name not in kinds:
            raise RecipeError(f"{setting}: expected NAME=VALUE, where NAME is one of {', '.join(kinds)}.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        if not _fits(value, kinds[name]):
            raise RecipeError(f"{setting}: {text!r} is not {getattr(kinds[name], '__name__', kinds[name])}.")
        changes[name] = value
    return replace(recipe, **changes)


def current_names(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a stored recipe under their current names; some have other names in models that were exported
    earlier.
    """
    return {_RENAMED.get(name, name): value for name, value in stored.items()}


def _fits(value: object, kind: object) -> bool:
    """Whether the value is of the field's kind; an integer is a float too."""
    if choices := get_args(kind):
        return value in choices or any(isinstance(part, type) and _fits(value, part) for part in choices)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind
