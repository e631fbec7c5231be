"""Settings of a recipe as text."""

from equipoise.cli import main


def test_what_recipes_prints_is_what_tune_takes(capsys):
    from equipoise.run import tuned, tuning
    from equipoise.train import RECIPES

    for name, recipe in RECIPES.items():
        assert main(["recipes", name, "--quiet"]) == 0
        assert tuned(recipe, capsys.readouterr().out.splitlines()) == recipe
    changes = tuning(tuned(RECIPES["mit-2021"], ["resampling.ess=0.5", "debiased.augmentation=['flip']"]))
    assert changes == ('debiased.augmentation=["flip"]', "resampling.ess=0.5")
