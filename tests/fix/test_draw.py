"""Many rows: the choice is made on a draw, the layer fitted on all at the strength that was chosen."""

from dataclasses import replace

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.fix import choose, refit
from equipoise.fix.refit import rows_of


@pytest.mark.slow
def test_a_draw_chooses_what_all_rows_would(scene, worst_group):
    train, test = scene(4000), scene(1500, failing=0.5, seed=1)
    drawn = choose(train[0], train[1], seeds=1, most=1000)
    every = choose(train[0], train[1], seeds=1)
    assert drawn.chosen.method in ("errors as groups", "mended errors")
    assert worst_group(drawn.layer, *test) == pytest.approx(worst_group(every.layer, *test), abs=0.05)
    assert drawn.notes == ("Chosen on 1,001 of 4,000 images, drawn by class; fitted on all.",)
    assert not every.notes


def test_the_layer_is_of_all_rows_at_the_strength_of_the_draw(scene):
    features, labels, _ = scene(2000)
    drawn = choose(features, labels, seeds=1, most=1000, methods=["plain"])
    C = drawn.chosen.settings["C"]
    alike = refit(features, labels, "plain", C=C / 2).weight.detach().numpy()
    np.testing.assert_allclose(drawn.layer.weight.detach().numpy(), alike, atol=1e-3 * np.abs(alike).max())


def test_copies_that_count_for_less_are_as_the_rows_themselves(scene):
    features, labels, _ = scene(300)
    once = rows_of(features, labels, known={}, together=(), classes=None, seed=0)[1]
    often = rows_of(
        np.tile(features, (3, 1)), np.tile(labels, 3), known={}, together=(), classes=None, seed=0
    )[1]
    one, other = once.fitted(1e-2), replace(often, counts=1 / 3).fitted(1e-2)
    np.testing.assert_allclose(np.abs(one), np.abs(other), rtol=1e-2, atol=1e-3)


def test_a_rare_class_keeps_its_rows(scene):
    features, labels, _ = scene(4000, shares=[0.93, 0.07])
    choice = choose(features, labels, seeds=1, most=100, methods=["plain"])
    assert not any("drawn" in note for note in choice.notes)  # 280 rows: too few to halve
    with pytest.raises(InputError, match="most must be at least 1"):
        choose(features, labels, most=0)


def test_rows_of_known_group_are_all_asked(scene):
    features, labels, groups = scene(4000)
    some = np.where(np.arange(4000) < 400, groups, -1)
    choice = choose(features, labels, validation_groups=some, seeds=1, most=1000)
    drawn = int(choice.notes[-1].split()[2].replace(",", ""))
    assert 1200 < drawn < 1400  # a quarter of all, and what of 400 is not among it
