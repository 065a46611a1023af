"""Every number of the training recipe, in one place.

``REFERENCE`` is the published recipe (the course "Create Image Captioning Models" of Google's Advanced Solutions Lab),
number by number.
``DEFAULT`` is what measured better; each departure says why.
``SMALL_DATA`` is what measured best on thousands of photos, and takes longer (docs/ablation.md); the model that ships
was made with it, at an ``image_size`` of 224.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from train.errors import TrainError


class RecipeError(TrainError):
    """A number that the recipe can't have; the message says which and why."""


# What each number must at least be; where None is allowed it stays so.
_LEAST = {
    "image_size": 1,
    "width": 1,
    "vocabulary_size": 1,
    "least_frequency": 1,
    "max_caption_length": 2,  # a word and the end
    "captions_per_image": 1,
    "batch_size": 1,
    "captions_together": 1,
    "epochs": 0,
    "patience": 1,
    "learning_rate": 0,
    "warmup_steps": 0,
    "clip_norm": 0,
    "encoder_learning_rate": 0,
    "self_critical_epochs": 0,
    "self_critical_repetition": 0,
    "self_critical_draws": 2,  # each is compared with the others
    "self_critical_learning_rate": 0,
}


@dataclass(frozen=True)
class Recipe:
    """What to build and how to train it.

    Attributes:
      image_size: height and width of the images in pixels; None for those of the encoder's own training.
      decoder: "reference" (one GRU, the image enters after it) or "guided" (the image is in the initial state, and
          what attention saw goes through a second GRU).
      width: of the embedding, of each GRU and of the projected image features.
      tied: whether the embedding serves as the output layer too.
      vocabulary_size: most tokens, the four special ones included.
      lowercase: whether captions are learned in lower case; false for languages that capitalise nouns, such as German.
      least_frequency: rarer words become ``[UNK]``.
      max_caption_length: in tokens, ``<end>`` included; longer captions are cut.
      captions_per_image: how many of an image's captions are used; None for all.
      mirrored: whether each image also comes mirrored, half of the time.
      cropped: whether each image also comes as its four corners, as often as each of its other views.
      dropout: share of the embedding, of the attended features and of the last hidden layer set to zero.
      label_smoothing: share of the target's probability spread over all words.
      batch_size: captions a step.
      captions_together: of one image that a step learns at once; an encoder that learns runs once for all of them.
      epochs: passes over the captions.
      patience: epochs without a better CIDEr on dev photos after which training ends.
      learning_rate: Adam's, at its highest.
      schedule: "constant", or "cosine" from the learning rate down to zero.
      warmup_steps: steps in which the learning rate rises from zero.
      clip_norm: longest gradient, over all variables together; None for any.
      mixed_precision: whether products are in half precision where the device has it, see ``train.fitting.precision``.
      fine_tuned: whether the encoder's last stages learn, too.
      encoder_learning_rate: of those stages, as a share of the decoder's.
      self_critical_epochs: looks at every image in a second stage that is rewarded by CIDEr; 0 for no such stage.
      self_critical_draws: captions drawn for an image in a step of that stage; each has to beat the others.
      self_critical_dropout: whether ``dropout`` applies in that stage, too, where drawn captions are learned from.
      self_critical_repetition: taken off a drawn caption's reward for each content word that it says again; CIDEr, not
          times 100, is the rest of the reward. It knows English only: 0 for other languages.
      self_critical_temperature: divides the logits that they are drawn from, and that are rewarded.
      self_critical_learning_rate: Adam's in that stage, at its highest.
      self_critical_share: of what the weights are at that stage's end in what is exported; the rest is what they were
          before it.
    """

    image_size: int | None
    decoder: Literal["reference", "guided"]
    width: int
    tied: bool
    vocabulary_size: int
    lowercase: bool
    least_frequency: int
    max_caption_length: int
    captions_per_image: int | None
    mirrored: bool
    cropped: bool
    dropout: float
    label_smoothing: float
    batch_size: int
    captions_together: int
    epochs: int
    patience: int
    learning_rate: float
    schedule: Literal["constant", "cosine"]
    warmup_steps: int
    clip_norm: float | None
    mixed_precision: bool
    fine_tuned: bool
    encoder_learning_rate: float
    self_critical_epochs: int
    self_critical_draws: int
    self_critical_dropout: bool
    self_critical_repetition: float
    self_critical_temperature: float
    self_critical_learning_rate: float
    self_critical_share: float

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise RecipeError(f"{name}={value}: it must be {least} or more.")
        if not self.self_critical_temperature > 0:
            raise RecipeError(f"self_critical_temperature={self.self_critical_temperature}: it must be more than 0.")
        if not 0 <= self.self_critical_share <= 1:
            raise RecipeError(f"self_critical_share={self.self_critical_share}: it is a share, from 0 to 1.")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(f"{name}={getattr(self, name)}: it is a share, from 0 to under 1.")
        for name, used in (("captions_together", True), ("self_critical_draws", self.self_critical_epochs > 0)):
            if used and getattr(self, name) > self.batch_size:
                raise RecipeError(f"{name}={getattr(self, name)}: more than a batch of {self.batch_size} holds.")


REFERENCE = Recipe(
    image_size=None,
    decoder="reference",
    width=512,
    tied=False,
    vocabulary_size=20_000,
    lowercase=True,
    least_frequency=1,
    max_caption_length=64,
    captions_per_image=1,
    mirrored=False,
    cropped=False,
    dropout=0.0,
    label_smoothing=0.0,
    batch_size=32,
    captions_together=1,
    epochs=1,
    patience=1,
    learning_rate=1e-3,
    schedule="constant",
    warmup_steps=0,
    clip_norm=None,
    mixed_precision=False,
    fine_tuned=False,
    encoder_learning_rate=0.1,
    self_critical_epochs=0,
    self_critical_draws=4,
    self_critical_dropout=False,
    self_critical_repetition=0.0,
    self_critical_temperature=1.0,
    self_critical_learning_rate=5e-5,
    self_critical_share=1.0,
)

DEFAULT = Recipe(
    image_size=None,
    decoder="guided",
    width=512,
    tied=False,
    vocabulary_size=20_000,
    lowercase=True,
    least_frequency=4,  # a word seen three times is not learned, only remembered
    max_caption_length=40,  # the longest of Flickr8k has 36 words
    captions_per_image=None,  # five times the data for nothing
    mirrored=True,  # what a photo shows seldom depends on left and right
    cropped=False,  # three times the cache
    dropout=0.45,  # overfitting is the limit on thousands of photos
    label_smoothing=0.1,
    batch_size=128,
    captions_together=1,  # captions of about the same length share a batch then, whatever they are about
    epochs=10,
    patience=3,  # a single worse epoch says little on a thousand photos
    learning_rate=1.5e-3,
    schedule="cosine",
    warmup_steps=200,
    clip_norm=5.0,
    mixed_precision=True,  # half the time, and the same loss to two digits
    fine_tuned=False,  # twice the time a step on a CPU, and a cache three times as large for InceptionResNetV2
    encoder_learning_rate=0.1,  # the decoder starts from nothing, the encoder from all that ImageNet taught it
    self_critical_epochs=0,  # its captions score higher and differ less from each other
    self_critical_draws=4,
    self_critical_dropout=False,
    self_critical_repetition=0.0,
    self_critical_temperature=0.6,  # at 1 label smoothing's long tail is drawn, a third as good as the greedy caption
    self_critical_learning_rate=4e-5,  # Rennie et al. took 5e-5; at 1e-4 it unlearns to speak within an epoch
    self_critical_share=1.0,
)

SMALL_DATA = replace(
    DEFAULT,
    cropped=True,
    batch_size=160,
    captions_together=5,  # all that there are of a photo, for one pass through the encoder's last stages
    fine_tuned=True,  # ImageNet has hardly a class for people, and none for what they do
    self_critical_epochs=9,
    self_critical_draws=5,
    self_critical_dropout=True,  # as in the first stage; a whole stage without it was not compared
    self_critical_repetition=0.3,  # about what a worse caption costs against a better one
    self_critical_learning_rate=6e-5,
    self_critical_share=0.65,  # between both stages the captions score as high, and are longer
)

RECIPES = {"reference": REFERENCE, "default": DEFAULT, "small_data": SMALL_DATA}


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Changes numbers of a recipe, each given as ``name=value``: ``epochs=20``, ``tied=true``, ``clip_norm=null``.

    Raises:
      RecipeError: there is no such number, or the value is not of its kind.
    """
    changes = {}
    kinds = {field.name: field.type for field in fields(recipe)}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in kinds:
            raise RecipeError(f"{setting}: expected NAME=VALUE with a name of {', '.join(kinds)}.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        if not _fits(value, kinds[name]):
            raise RecipeError(f"{setting}: {text!r} is not {getattr(kinds[name], '__name__', kinds[name])}.")
        changes[name] = value
    return replace(recipe, **changes)


def _fits(value: object, kind: object) -> bool:
    """Whether the value is of the field's kind; a whole number also is a float."""
    if choices := get_args(kind):
        return value in choices or any(isinstance(part, type) and _fits(value, part) for part in choices)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind
