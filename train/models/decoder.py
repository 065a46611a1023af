"""The decoder: from image features and the words so far to the next word.

A decoder is two Keras models, and both training and the exported functions call the same two:

    bridge:  feature map [batch, positions, channels] -> features [batch, positions, width], state [batch, units]
    network: tokens int32 [batch, length], state, features
             -> logits [batch, length, vocabulary], state after the last token, attention [batch, length, positions]

Given a whole caption the decoder is the teacher-forced pass; given one token and the state before it, one step.
"""

from typing import NamedTuple

import keras
from keras import layers

from train.models.gru import GRU
from train.recipe import Recipe


class Decoder(NamedTuple):
    """The two models; see the module's docstring.

    Attributes:
      slow: trainable variables of the encoder, see ``train.models.fine_tuning``; they learn
        at a lower rate.
      labelled: the bridge with a third output, the label loss of ``train.models.fine_tuning``, where the encoder is
        fine-tuned and has a classifier.
    """

    bridge: keras.Model
    network: keras.Model
    slow: tuple[keras.Variable, ...] = ()
    labelled: keras.Model | None = None

    @property
    def variables(self) -> list[keras.Variable]:
        """All state, the random number generators of dropout included."""
        return [*self.bridge.variables, *self.network.variables]

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return [*self.bridge.trainable_variables, *self.network.trainable_variables]


def build_decoder(recipe: Recipe, channels: int, vocabulary_size: int) -> Decoder:
    """Builds the recipe's decoder with fresh weights.

    Args:
      recipe: says which decoder, its width and its dropout.
      channels: of the encoder's feature map.
      vocabulary_size: number of real tokens, so that no id can fall outside.
    """
    build = {"reference": _reference, "guided": _guided}[recipe.decoder]
    return build(recipe, channels, vocabulary_size)


def _reference(recipe: Recipe, channels: int, vocabulary_size: int) -> Decoder:
    """The published decoder, layer by layer: the state starts at zero and depends on the words alone."""
    feature_map = keras.Input((None, channels))
    features = layers.Dense(recipe.hidden_size, activation="relu", name="projection")(feature_map)
    state = keras.ops.zeros_like(features[:, 0])
    bridge = keras.Model(feature_map, [features, state], name="bridge")

    tokens, state, features = _decoder_inputs(recipe.hidden_size, recipe.hidden_size)
    x = layers.Embedding(vocabulary_size, recipe.hidden_size, name="embedding")(tokens)
    x, new_state = _gru(recipe, "gru")(x, initial_state=state)
    context, attention = layers.Attention(name="attention")([x, features], return_attention_scores=True)
    x = layers.Add()([x, context])
    x = layers.LayerNormalization(name="normalisation")(x)
    logits = layers.Dense(vocabulary_size, name="logits")(x)
    return Decoder(bridge, keras.Model([tokens, state, features], [logits, new_state, attention], name="decoder"))


def _guided(recipe: Recipe, channels: int, vocabulary_size: int) -> Decoder:
    """The image sets the initial state, and a second GRU receives the attended features at every word.

    The first GRU's output is the attention query, as in Up-Down (Anderson et al. 2018). It does not depend on the
    attended features, so in training attention runs over all words at once.
    """
    feature_map = keras.Input((None, channels))
    x = layers.Dropout(recipe.dropout)(feature_map)
    features = layers.Dense(recipe.hidden_size, activation="relu", name="projection")(x)
    whole = layers.GlobalAveragePooling1D()(x)
    state = layers.Dense(2 * recipe.hidden_size, activation="tanh", name="initial_state")(whole)
    bridge = keras.Model(feature_map, [features, state], name="bridge")

    tokens, state, features = _decoder_inputs(2 * recipe.hidden_size, recipe.hidden_size)
    embedding = layers.ReversibleEmbedding(
        vocabulary_size, recipe.hidden_size, tie_weights=recipe.tie_embeddings, name="embedding"
    )
    x = layers.Dropout(recipe.dropout)(embedding(tokens))
    x, attention_state = _gru(recipe, "attention_gru")(x, initial_state=state[:, : recipe.hidden_size])
    context, attention = layers.Attention(use_scale=True, name="attention")([x, features], return_attention_scores=True)
    x = layers.Dropout(recipe.dropout)(layers.Concatenate()([x, context]))
    x, language_state = _gru(recipe, "language_gru")(x, initial_state=state[:, recipe.hidden_size :])
    x = layers.Dropout(recipe.dropout)(x)
    logits = embedding(x, reverse=True)
    new_state = layers.Concatenate(name="new_state")([attention_state, language_state])
    return Decoder(bridge, keras.Model([tokens, state, features], [logits, new_state, attention], name="decoder"))


def _decoder_inputs(units: int, width: int) -> tuple[keras.KerasTensor, ...]:
    return (
        keras.Input((None,), dtype="int32", name="tokens"),
        keras.Input((units,), name="state"),
        keras.Input((None, width), name="features"),
    )


def _gru(recipe: Recipe, name: str) -> GRU:
    return GRU(recipe.hidden_size, return_sequences=True, return_state=True, name=name)
