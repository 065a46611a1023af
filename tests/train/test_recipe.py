"""Changing the recipe's numbers from the command line."""

import pytest

from train.recipe import DEFAULT, RecipeError, with_settings


def test_settings_of_every_kind() -> None:
    recipe = with_settings(
        DEFAULT, ["epochs=2", "tied=true", "dropout=0", "clip_norm=null", "schedule=constant", "captions_per_image=1"]
    )
    assert (recipe.epochs, recipe.tied, recipe.dropout, recipe.clip_norm) == (2, True, 0, None)
    assert (recipe.schedule, recipe.captions_per_image) == ("constant", 1)
    assert with_settings(DEFAULT, []) == DEFAULT


@pytest.mark.parametrize(
    "setting",
    [
        "epochs",
        "epoch=3",
        "epochs=2.5",
        "epochs=many",
        "tied=1",
        "schedule=linear",
        "dropout=true",
        "epochs=null",
        "batch_size=0",
        "image_size=0",
        "dropout=1",
        "self_critical_draws=1",
        "lowercase=0",
        "captions_together=0",
        "self_critical_share=1.5",
        "self_critical_share=-0.1",
        "captions_together=1000",
        "self_critical_repetition=-1",
        "self_critical_temperature=0",
    ],
)
def test_nonsense_is_refused(setting: str) -> None:
    with pytest.raises(RecipeError, match=setting.split("=")[0]):
        with_settings(DEFAULT, [setting])


def test_draws_bound_the_batch_only_where_there_is_a_second_stage() -> None:
    assert with_settings(DEFAULT, ["batch_size=2"]).batch_size == 2
    with pytest.raises(RecipeError, match="self_critical_draws=4"):
        with_settings(DEFAULT, ["batch_size=2", "self_critical_epochs=1"])
