"""Changing the recipe's numbers from the command line."""

import pytest

from beam_job.model.directory import DEFAULT_MODEL
from beam_job.model.manifest import read_manifest
from train.recipe import DEFAULT, SMALL_DATA, Recipe, RecipeError, current_names, with_settings


def test_settings_of_every_kind() -> None:
    recipe = with_settings(
        DEFAULT,
        ["epochs=2", "tie_embeddings=true", "dropout=0", "clip_norm=null", "schedule=constant", "captions_per_image=1"],
    )
    assert (recipe.epochs, recipe.tie_embeddings, recipe.dropout, recipe.clip_norm) == (2, True, 0, None)
    assert (recipe.schedule, recipe.captions_per_image) == ("constant", 1)
    assert with_settings(DEFAULT, []) == DEFAULT


@pytest.mark.parametrize(
    "setting",
    [
        "epochs",
        "epoch=3",
        "epochs=2.5",
        "epochs=many",
        "tie_embeddings=1",
        "schedule=linear",
        "dropout=true",
        "epochs=null",
        "batch_size=0",
        "image_size=0",
        "dropout=1",
        "self_critical_samples_per_image=1",
        "lowercase=0",
        "captions_per_image_per_batch=0",
        "self_critical_interpolation=1.5",
        "self_critical_interpolation=-0.1",
        "captions_per_image_per_batch=1000",
        "self_critical_repetition_penalty=-1",
        "self_critical_temperature=0",
        "self_critical_temperature=Infinity",
        "learning_rate=NaN",
        "learning_rate=Infinity",
    ],
)
def test_nonsense_is_refused(setting: str) -> None:
    with pytest.raises(RecipeError, match=setting.split("=")[0]):
        with_settings(DEFAULT, [setting])


def test_draws_bound_the_batch_only_where_there_is_a_second_stage() -> None:
    assert with_settings(DEFAULT, ["batch_size=2"]).batch_size == 2
    with pytest.raises(RecipeError, match="self_critical_samples_per_image=4"):
        with_settings(DEFAULT, ["batch_size=2", "self_critical_epochs=1"])


@pytest.mark.parametrize(
    ("setting", "new"),
    [
        ("width=256", "hidden_size"),
        ("tied=true", "tie_embeddings"),
        ("least_frequency=2", "min_frequency"),
        ("mirrored=false", "flip"),
        ("cropped=true", "corner_crops"),
        ("captions_together=5", "captions_per_image_per_batch"),
        ("fine_tuned=true", "fine_tune_encoder"),
        ("self_critical_draws=5", "self_critical_samples_per_image"),
        ("self_critical_repetition=0", "self_critical_repetition_penalty"),
        ("self_critical_share=0.5", "self_critical_interpolation"),
        ("width", "hidden_size"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(setting: str, new: str) -> None:
    with pytest.raises(RecipeError, match=f"^{setting}: this setting is now called {new}\\.$"):
        with_settings(DEFAULT, [setting])


def test_the_recipe_of_the_bundled_model_is_the_one_that_its_card_says() -> None:
    stored = current_names(read_manifest(DEFAULT_MODEL).training["recipe"])
    settings = ["image_size=224", "min_frequency=5", "self_critical_epochs=7"]
    assert Recipe(**stored) == with_settings(SMALL_DATA, settings)
    card = " ".join((DEFAULT_MODEL / "MODEL_CARD.md").read_text().split())
    assert f"--set {' '.join(settings)} " in card


def test_the_recipe_of_a_model_exported_before_is_read() -> None:
    assert current_names({"width": 512, "fine_tuned": True, "epochs": 3}) == {
        "hidden_size": 512,
        "fine_tune_encoder": True,
        "epochs": 3,
    }
