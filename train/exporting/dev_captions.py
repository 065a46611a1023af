"""The model's own captions of dev photos, from which it learns the quality of its captions.

(captions,) = caption_dev_sets(decoder, recipe, [DevSet("dev.jsonl", features, references)], vocabulary, seed=0)
captions.best[0]  # Example(ids, log_probs, cider=0.8, photo=0, context=Context(-0.9, named=0.7))
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from beam_job.model.answer.captions import by_image, captions_of, context_of
from beam_job.model.answer.evidence import word_evidence
from beam_job.model.answer.quality import Context
from beam_job.model.decoding import Decoding
from beam_job.model.logits import likeliest, mask_tokens, sampled
from beam_job.model.search import Hypotheses, Propose, search
from beam_job.model.vocabulary import Vocabulary
from beam_job.records import Caption
from train.data.batches import Features
from train.data.text import words
from train.exporting.regression import Example
from train.fitting.cider import Cider
from train.models.classifier import Classifier
from train.models.decoder import Decoder
from train.recipe import Recipe

_MOST = 20_000  # images of a data set; evenly spaced among more
_SAMPLES = 3  # of each image
_LIKELIEST = 100  # tokens from which samples are drawn
_BATCH = 32


class DevSet(NamedTuple):
    """Photos that the decoder was not trained on: their features, and their captions by image."""

    name: str
    features: Features
    references: Mapping[int, Sequence[str]]


class DevCaptions(NamedTuple):
    """The captions of a dev set: of each photo the best one of the job's default decoding, without a label bonus; and
    the others, which are the rest of the beam and samples."""

    best: list[Example]
    others: list[Example]


class Sight(NamedTuple):
    """What an image classifier sees.

    Attributes:
      classifier: of the encoder.
      tail: the encoder's last stages, where features are those of the stages before them.
    """

    classifier: Classifier
    tail: keras.Model | None = None

    def probabilities(self, feature_map: np.ndarray) -> np.ndarray:
        """Of the classes, float32 [batch, classes]."""
        seen = tf.cast(feature_map, tf.float32)
        return tf.nn.softmax(self.classifier.logits(self.tail(seen, training=False) if self.tail else seen)).numpy()


def caption_dev_sets(
    decoder: Decoder,
    recipe: Recipe,
    dev_sets: Sequence[DevSet],
    vocabulary: Vocabulary,
    *,
    seed: int,
    sight: Sight | None = None,
) -> list[DevCaptions]:
    """Captions dev sets; photos are numbered through all of them, in their order.

    Args:
      decoder: trained.
      recipe: the way of splitting words, the longest caption, and the temperature of samples.
      dev_sets: the photos.
      vocabulary: the decoder's.
      seed: of the samples.
      sight: of a model with an image classifier.
    """
    decode = _make_decode(decoder, recipe, vocabulary)
    evidence = word_evidence(sight.classifier.labels, vocabulary) if sight else None
    random = np.random.default_rng(seed)
    found = []
    photos_before = 0
    for dev in dev_sets:
        captions = DevCaptions([], [])
        references = dev.references
        cider = Cider([[words(caption, recipe.lowercase) for caption in told] for told in references.values()])
        photos = list(enumerate(references))[:: -(-len(references) // _MOST)]
        for at in range(0, len(photos), _BATCH):
            chosen = photos[at : at + _BATCH]
            feature_map = np.stack([dev.features[image, 0] for _, image in chosen])
            classes = sight.probabilities(feature_map) if sight else None
            filled = np.pad(feature_map, [[0, _BATCH - len(chosen)], [0, 0], [0, 0]])
            uniforms = random.random([_BATCH * _SAMPLES, recipe.max_caption_length], np.float32)
            beam, drawn = decode(filled, np.arange(_BATCH) < len(chosen), uniforms)
            by_photo = zip(chosen, by_image(beam, _BATCH), by_image(drawn, _BATCH), strict=False)
            for row, ((photo, _), *hypotheses) in enumerate(by_photo):
                of_beam, samples = (
                    [caption for _, caption in captions_of(each, vocabulary, None, every_word=True)]
                    for each in hypotheses
                )
                if not of_beam:
                    continue
                share = None
                if evidence and classes is not None:
                    share = partial(evidence.share, probabilities=classes[row])
                best, *others = [
                    example_of(
                        caption,
                        vocabulary,
                        cider=cider.score(photo, caption.tokens),
                        photo=photos_before + photo,
                        context=context_of(caption.tokens, [mean_log_prob(other) for other in together], share),
                    )
                    for together in (of_beam, samples)
                    for caption in together
                ]
                captions.best.append(best)
                captions.others.extend(others)
        photos_before += len(references)
        found.append(captions)
    return found


def mean_log_prob(caption: Caption) -> float:
    """Of a caption that has the log-probability of each word."""
    return float(np.mean(np.array(caption.log_probs)))


def example_of(caption: Caption, vocabulary: Vocabulary, *, cider: float, photo: int, context: Context) -> Example:
    """A caption, with the log-probability of each word, as an example."""
    ids = [*vocabulary.encode(caption.tokens), *[vocabulary.end_id] * caption.ended]
    return Example(np.array(ids), np.array(caption.log_probs, np.float32), cider, photo, context)


def _make_decode(decoder: Decoder, recipe: Recipe, vocabulary: Vocabulary) -> Callable[..., tuple[Hypotheses, ...]]:
    """Makes a function of a batch of features, which of its rows are in use, and random numbers: the hypotheses of the
    beam, and of samples."""
    options = Decoding()
    special = [vocabulary.pad_id, vocabulary.unknown_id, vocabulary.start_id]
    mask = mask_tokens(special, vocabulary.end_id, no_repeat_ngram=options.no_repeat_ngram)

    def step(tokens: tf.Tensor, state: tf.Tensor, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        of_each = tf.repeat(features, tf.shape(tokens)[0] // tf.shape(features)[0], axis=0)
        logits, state, attention = decoder.network([tokens[:, None], state, of_each], training=False)
        return logits[:, 0], state, attention[:, 0]

    def found(propose: Propose, width: int, *rows: tf.Tensor) -> Hypotheses:
        return search(
            step,
            propose,
            mask,
            *rows,
            vocabulary_size=len(vocabulary),
            width=width,
            max_length=recipe.max_caption_length,
            length_penalty=options.length_penalty,
            start_id=vocabulary.start_id,
            end_id=vocabulary.end_id,
            pad_id=vocabulary.pad_id,
        )

    @tf.function(autograph=False)
    def decode(feature_map: tf.Tensor, in_use: tf.Tensor, uniforms: tf.Tensor) -> tuple[Hypotheses, ...]:
        rows = [*decoder.bridge(tf.cast(feature_map, tf.float32), training=False), in_use]
        draw = sampled(uniforms, temperature=recipe.self_critical_temperature, top_k=_LIKELIEST, top_p=1.0)
        repeated = [tf.repeat(part, _SAMPLES, axis=0) for part in rows]
        return found(likeliest(2 * options.width), options.width, *rows), found(draw, 1, *repeated)

    return decode
