import pytest

from equipoise.errors import InputError
from equipoise.run.sweep.grid import grid, varied
from equipoise.run.tuning import tuned
from equipoise.train import RECIPES


def test_the_first_setting_turns_slowest_and_the_seed_fastest():
    points = grid(
        "assignment-7", {"seed": [0, 1], "resampling.smoothing": [0.1, 0.01], "latent": ["10", "20"]}
    )
    assert [(p.values["resampling.smoothing"], p.values["latent"], p.seed) for p in points] == [
        (a, b, c) for a in ("0.1", "0.01") for b in ("10", "20") for c in (0, 1)
    ]
    assert [p.number for p in points] == list(range(1, 9))
    assert [p.recipe.resampling.smoothing for p in points] == [0.1] * 4 + [0.01] * 4
    assert points[2].recipe.latent == 20
    assert points[0].recipe.debiased == RECIPES["assignment-7"].debiased
    assert len({p.folder for p in points}) == 8


def test_flags_stand_for_settings_of_both_models():
    (point,) = grid(
        "equipoise", {"epochs": [3], "batch-size": [16], "ess": [0.3], "--max-weight": ["none"]}, seed=5
    )
    recipe = point.recipe
    assert (recipe.plain.epochs, recipe.debiased.epochs) == (3, 3)
    assert (recipe.plain.batch_size, recipe.debiased.batch_size) == (16, 16)
    assert recipe.resampling.ess == 0.3
    assert recipe.resampling.max_weight is None
    assert point.seed == 5


def test_a_varied_recipe_takes_the_changes_along():
    base = tuned(RECIPES["equipoise"], ["latent=7"])
    points = grid(base, {"recipe": ["mit-2021", "assignment-7"]})
    assert [p.recipe.name for p in points] == ["mit-2021", "assignment-7"]
    assert [p.recipe.latent for p in points] == [7, 7]
    assert points[1].recipe.reconstruction == "squared_l2"


def test_names_of_folders_are_fit_for_any_file_system():
    points = grid("equipoise", {"debiased.augmentation": ['["flip", "light"]', "[]"]})
    assert points[0].folder == "001-debiased.augmentation=__flip____light__-seed=0"
    assert len({p.folder for p in points}) == 2


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["latent"], "Expected `vary` KEY=VALUE"),
        (["=1,2"], "Expected `vary` KEY=VALUE"),
        (["latent=1,,2"], "Expected `vary` KEY=VALUE"),
        (["latent=1", "latent=2"], "`vary` latent twice"),
        (["max-weight=1", "max_weight=2"], "`vary` max_weight twice"),
    ],
)
def test_what_cannot_be_read_is_refused(texts, words):
    with pytest.raises(InputError, match=words):
        varied(texts)


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ({}, "Expected something to vary"),
        ({"resampling.smoothin": [1]}, "Did you mean 'resampling.smoothing'"),
        ({"name": ["a", "b"]}, "Expected a setting of a recipe"),
        ({"resampling": ["a"]}, "Expected a setting of a recipe"),
        ({"latent": []}, "Expected values of latent; got none"),
        ({"latent": ["many"]}, "must be a whole number"),
        ({"resampling.smoothing": ["much"]}, "smoothing must be a number; got 'much'"),
        ({"resampling.rule": ["max", "maximum"]}, "resampling.rule=maximum"),
        ({"recipe": ["mit-2020"]}, "Did you mean 'mit-2021'"),
        ({"seed": ["one"]}, "whole numbers as seeds"),
        ({"seed": [-1]}, "seed must be 0 or larger"),
        ({"seed": [1, 1]}, "same settings twice"),
        ({"resampling.smoothing": ["0.1", "0.10"]}, "same settings twice"),
        ({"ess": [0.5], "resampling.ess": [0.4]}, "which are one"),
    ],
)
def test_what_cannot_be_met_is_refused_before_anything_runs(vary, words):
    with pytest.raises(InputError, match=words):
        grid("mit-2021", vary)
