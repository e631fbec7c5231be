"""What holds of every fix in the registry."""

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.fix import FIXES, Known, Rows, cross_fitted, refit
from equipoise.fix.logit_adjustment import shifted
from equipoise.fix.refit import rows_of
from equipoise.fix.regression import logits_of
from equipoise.fix.rows import equal_weights, parts_equal


def known_of(groups, features):
    return {"groups": groups, "slices": np.where(groups == 1, 0, -1), "log_density": -np.abs(features[:, 0])}


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("name", FIXES)
def test_shape_finite_the_same_again_and_better_than_chance(name, classes, scene):
    features, labels, groups = scene(500, classes=classes, failing=0.15)
    known = known_of(groups, features)
    _, rows = rows_of(features, labels, known=known, together=(), classes=None, seed=3)
    found = FIXES[name](rows)
    again = FIXES[name](rows.seeded(3))
    assert found.shape == (rows.coordinates.shape[1] + 1, 1 if classes == 2 else classes)
    assert np.isfinite(found).all()
    assert np.array_equal(found, again)
    logits = logits_of(rows.coordinates, found)
    said = logits[:, 0] > 0 if classes == 2 else logits.argmax(1)
    assert np.mean([(said == labels)[labels == c].mean() for c in range(classes)]) > 1.05 / classes


@pytest.mark.parametrize("name", FIXES)
def test_it_knows_what_it_needs_and_every_setting_that_is_tried_is_one(name, scene):
    fix, (features, labels, groups) = FIXES[name], scene(200)
    known = Known(groups, np.zeros(200, int), np.zeros(200))
    assert fix.possible(known)
    assert fix.possible(Known()) == (fix.needs == "")
    assert fix.tried
    _, rows = rows_of(features, labels, known=known_of(groups, features), together=(), classes=None, seed=0)
    for settings in fix.tried:
        assert np.isfinite(fix(rows, **settings)).all()
    if fix.needs:
        with pytest.raises(InputError, match=f"Expected {fix.needs} for '{name}'"):
            refit(features, labels, name)


def test_weights_weigh_cells_alike():
    labels, parts = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 0, 0])
    cells = equal_weights(labels, parts)
    assert np.allclose(cells, [2 / 3, 2 / 3, 2 / 3, 2, 1, 1])
    nested = parts_equal(labels, parts)
    assert np.allclose(nested, [0.5, 0.5, 0.5, 1.5, 1.5, 1.5])
    assert np.isclose(cells.mean(), 1)
    assert np.isclose(nested.mean(), 1)


def close(first, second, rows):
    a, b = (logits_of(rows.coordinates, one) for one in (first, second))
    if a.shape[1] > 1:
        a, b = (z - z.mean(1, keepdims=True) for z in (a, b))
    return np.abs(a - b).max() < 0.05


@pytest.mark.parametrize("classes", [2, 4])
def test_fixes_without_anything_to_go_by_are_plainer_ones(classes, scene):
    features, _, _ = scene(480, classes=classes)
    labels = np.arange(480) % classes  # as many of each
    one = {"groups": np.zeros(480, int), "slices": np.full(480, -1), "log_density": np.zeros(480)}
    _, rows = rows_of(features, labels, known=one, together=(), classes=None, seed=0)
    plain = FIXES["plain"](rows, C=0.01)
    for name, settings in {
        "classes equal": {},
        "groups equal": {},
        "slices as groups": {},
        "rarity": {},
        "logit adjustment": {},
        "JTT": {"factor": 1.0},
        "SELF": {"share": 1.0},
        "DFR": {"refits": 2},
    }.items():
        assert close(FIXES[name](rows, C=0.01, **settings), plain, rows), name
    assert close(FIXES["AFR"](rows, C=1e-6, C1=0.01), plain, rows)  # held where it was


def test_classes_that_differ_in_number_weigh_the_same(scene):
    features, labels, _ = scene(600, shares=(0.85, 0.15))
    one = {"groups": np.zeros(600, int)}
    _, rows = rows_of(features, labels, known=one, together=(), classes=None, seed=0)
    equal = FIXES["classes equal"](rows, C=0.01)
    assert close(FIXES["groups equal"](rows, C=0.01), equal, rows)
    assert not close(FIXES["plain"](rows, C=0.01), equal, rows)


def test_errors_that_are_none_are_classes_equal():
    labels = np.repeat([0, 1], [90, 30])
    features = (np.random.default_rng(0).normal(size=(120, 4)) + 20 * labels[:, None]).astype(np.float32)
    _, rows = rows_of(features, labels, known={}, together=(), classes=None, seed=0)
    wanted = FIXES["classes equal"](rows, C=1e-3)
    assert close(FIXES["errors as groups"](rows, C=1e-3, C1=0.01), wanted, rows)
    assert close(FIXES["mended errors"](rows, C=1e-3, C1=0.01), wanted, rows)


def test_biases_move_by_the_logarithm_of_shares(scene):
    _, labels, _ = scene(400, shares=(0.8, 0.2))
    features = scene(400)[0]
    _, rows = rows_of(features, labels, known={}, together=(), classes=None, seed=0)
    plain, moved = FIXES["plain"](rows), FIXES["logit adjustment"](rows)
    shares = np.bincount(labels) / 400
    assert np.allclose(moved[-1] - plain[-1], np.log(shares[0] / shares[1]))
    assert np.array_equal(moved[:-1], plain[:-1])
    three = shifted(np.zeros((2, 3)), np.array([1.0, 2.0, 3.0]))
    assert three.tolist() == [[0, 0, 0], [1, 2, 3]]


def test_rows_of_unknown_group_are_left_out(scene):
    features, labels, groups = scene(500, failing=0.2)
    half = np.where(np.arange(500) < 250, groups, -1)
    _, rows = rows_of(features, labels, known={"groups": half}, together=(), classes=None, seed=0)
    chosen = np.arange(500) < 250
    assert np.array_equal(FIXES["groups equal"](rows), FIXES["groups equal"](rows.take(chosen)))


def test_a_class_of_no_known_group_is_told(scene):
    features, labels, groups = scene(200)
    with pytest.raises(InputError, match="none in class 1"):
        refit(features, labels, "DFR", known={"groups": np.where(labels == 1, -1, groups)})


def test_rows_are_those_of_a_table():
    rows = Rows(np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1]), 2, np.array([0, 1, 2, 2]))
    some = rows.take(np.array([False, True, True, True]))
    assert len(some) == 3
    assert some.units.tolist() == [0, 1, 1]


def test_what_weighs_more_is_what_a_method_says(scene, monkeypatch):
    features, labels, groups = scene(600, failing=0.1)
    known = {"log_density": np.where(np.arange(600) % 10 == 0, -5.0, 0.0)}
    _, rows = rows_of(features, labels, known=known, together=(), classes=None, seed=0)
    seen = {}

    def kept(self, C, weights=None, **more):
        seen["weights"] = np.ones(len(self)) if weights is None else weights
        return np.zeros((self.coordinates.shape[1] + 1, 1))

    wrong, gap = labels != groups, np.arange(600.0)
    first = np.where(wrong == (labels == 1), -2.0, 2.0)[:, None]  # says what the shortcut says
    monkeypatch.setattr(Rows, "first_stage", lambda self, C, equal: first)
    monkeypatch.setattr(Rows, "fitted", kept)
    monkeypatch.setattr("equipoise.fix.self_disagreement._divergence", lambda a, b: gap)
    for name in ("errors as groups", "JTT", "AFR"):
        FIXES[name](rows)
        assert seen["weights"][wrong].min() > 1.5 * seen["weights"][~wrong].max(), name
    FIXES["rarity"](rows)
    rare = np.arange(600) % 10 == 0
    assert seen["weights"][rare].min() > 1.5 * seen["weights"][~rare].max()
    sizes = [w.sum() ** 2 / (len(w) * (w * w).sum()) for w in (seen["weights"][labels == c] for c in (0, 1))]
    assert np.allclose(sizes, 0.5, atol=0.01)
    FIXES["SELF"](rows, share=0.2)
    assert (seen["weights"][-60:] > 0).all()
    assert (seen["weights"][:300] == 0).all()


def test_mended_errors_have_biases_of_their_own(scene, monkeypatch):
    features, labels, _ = scene(400, failing=0.1)
    _, rows = rows_of(features, labels, known={}, together=(), classes=None, seed=0)
    too_low = np.where(labels == 1, -1.0, -3.0)[:, None]
    monkeypatch.setattr(Rows, "by_folds", lambda self, fit, name: too_low)
    monkeypatch.setattr(Rows, "fitted", lambda self, C, weights=None: np.zeros((3, 1)))
    assert 1 < FIXES["mended errors"](rows)[-1, 0] < 3
    assert FIXES["errors as groups"](rows)[-1, 0] == 0


@pytest.mark.parametrize("classes", [2, 5])
def test_cross_fitted_logits_are_of_a_layer_that_has_not_seen_the_row(classes, scene):
    features, labels, _ = scene(400, classes=classes, failing=0.0)
    said = cross_fitted(features, labels, classes=classes, seed=1)
    assert said.shape == ((400,) if classes == 2 else (400, classes))
    called = said > 0 if classes == 2 else said.argmax(1)
    assert (called == labels).mean() > 1.3 / classes
    chance = np.random.default_rng(0).integers(
        0, classes, 400
    )  # what cannot be learned is not known by heart
    noise = np.random.default_rng(1).normal(size=(400, 300)).astype(np.float32)
    said = cross_fitted(noise, chance, C=10.0, classes=classes)
    called = said > 0 if classes == 2 else said.argmax(1)
    assert (called == chance).mean() < 1.4 / classes
