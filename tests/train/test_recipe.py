import dataclasses

import pytest

from equipoise.errors import InputError
from equipoise.train import RECIPES, Optimisation, Recipe, Resampling, recipe
from equipoise.train.recipe import epochs_of


@pytest.mark.parametrize("name", RECIPES)
def test_round_trip(name):
    assert Recipe.from_dict(recipe(name).to_dict()) == recipe(name)


def test_the_labs_settings():
    mit = recipe("mit-2021")
    assert (mit.plain.epochs, mit.plain.learning_rate, mit.plain.batch_size) == (2, 5e-4, 32)
    assert (mit.debiased.epochs, mit.latent, mit.kl_weight, mit.reconstruction) == (6, 100, 5e-4, "l1")
    assert (mit.resampling.rule, mit.resampling.bins, mit.resampling.smoothing) == ("max", 10, 1e-3)
    assert mit.resampling.ess is None
    assert mit.resampling.renew == "every-epoch"
    assert recipe("assignment-7").reconstruction == "squared_l2"
    inspired = recipe("inspiredk-2025")
    assert (inspired.latent, inspired.debiased.optimizer, inspired.debiased.learning_rate) == (
        150,
        "adadelta",
        0.3,
    )
    assert (inspired.plain.optimizer, inspired.plain.batch_size) == ("adagrad", 64)
    assert (inspired.resampling.smoothing, inspired.resampling.renew) == (0, "once")
    capsa = recipe("capsa-2023")
    assert (capsa.resampling.bins, capsa.resampling.queue, capsa.debiased.learning_rate) == (5, 2000, 1e-4)
    assert capsa.split == "first-80"
    assert {
        entry.precision
        for entry in RECIPES.values()
        if entry.summary.startswith(("MIT", "The course", "A public"))
    } == {"32-true"}


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(InputError, match=r"got 'mit-2020'\. Did you mean 'mit-2021'"):
        recipe("mit-2020")


def test_unknown_key_names_the_nearest():
    values = recipe("mit-2021").to_dict()
    values["resampling"]["smoothin"] = 1
    with pytest.raises(
        InputError, match=r"recipe\.resampling has no setting 'smoothin'.*Did you mean 'smoothing'"
    ):
        Recipe.from_dict(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: Optimisation(epochs=0), "epochs must be larger than 0; got 0"),
        (lambda: Optimisation(learning_rate=-1.0), "learning_rate must be larger than 0"),
        (lambda: Optimisation(batch_size=1), "batch_size must be 2 or more"),
        (lambda: Optimisation(augmentation=("flop",)), "got 'flop'"),
        (lambda: Optimisation(optimizer="sgdd"), "must be one of adam"),
        (lambda: Resampling(ess=1.5), r"in \(0, 1\]; got 1.5"),
        (lambda: Resampling(max_weight=0.5), "max_weight must be 1 or larger"),
        (lambda: Optimisation(epochs=2.5), "must be a whole number"),
        (lambda: Resampling(smoothing="much"), "smoothing must be a number; got 'much'"),
    ],
)
def test_values_out_of_range_are_refused(change, words):
    setting = change()
    part = "resampling" if isinstance(setting, Resampling) else "debiased"
    with pytest.raises(InputError, match=words):
        Recipe("mine", **{part: setting})


def test_recipes_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe("equipoise").latent = 3


@pytest.mark.parametrize(("per_epoch", "passes"), [(7, 40), (155, 13), (342, 6), (100_000, 4)])
def test_few_pictures_are_seen_more_often(per_epoch, passes):
    assert epochs_of(Optimisation(epochs="auto"), per_epoch) == passes
    assert epochs_of(Optimisation(epochs=3), per_epoch) == 3


def test_epochs_is_a_number_or_auto():
    with pytest.raises(InputError, match="epochs must be a whole number; got 'many'"):
        Recipe("mine", plain=Optimisation(epochs="many"))
    assert Recipe("mine", plain=Optimisation(epochs="auto")).plain.epochs == "auto"
