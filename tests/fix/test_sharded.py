"""A last layer from shards is that of all rows; loss, gradient and moments of halves add up to the whole's."""

from __future__ import annotations

from functools import reduce
from itertools import permutations

import numpy as np
import pytest
import torch

import equipoise.fix.axes as axes_module
from equipoise.density import Moments
from equipoise.errors import InputError
from equipoise.fix import Axes, feature_moments, refit, refit_shards
from equipoise.fix.regression import logits_of, regression, summed_loss

EDGES = ((0, 130), (130, 130), (130, 131), (131, 600))


def made(classes, n=600, d=15):
    chance = np.random.default_rng(classes)
    features = (chance.normal(size=(n, d)) @ chance.normal(size=(d, d)) + 3).astype(np.float32)
    scores = features @ chance.normal(size=(d, classes)) + 9 * chance.normal(size=(n, classes))
    labels = (scores + 15 * (np.arange(classes) == 0)).argmax(1)
    return features, labels, chance.gamma(0.7, size=n)


def split(rows):
    return [rows[a:b] for a, b in EDGES]


def test_axes_of_merged_moments_are_those_of_all_rows():
    features, *_ = made(2)
    whole = Axes.of(features)
    for some in permutations([feature_moments(one) for one in split(features)]):
        found = Axes.of(reduce(Moments.merge, some))
        np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-5)
        np.testing.assert_allclose(found.std, whole.std, rtol=1e-5)
        turned = np.abs((found.directions * whole.directions).sum(0))
        np.testing.assert_allclose(turned, 1, atol=1e-4)
    with pytest.raises(InputError, match="moments of none"):
        Axes.of(feature_moments(features[:0]))


@pytest.mark.parametrize("classes", [2, 4])
def test_loss_and_gradient_of_halves_add_up(classes):
    features, labels, weights = made(classes)
    rows, shares = Axes.of(features)(features), (weights / weights.sum()).astype(np.float32)
    point = np.random.default_rng(0).normal(size=(rows.shape[1] + 1, 1 if classes == 2 else classes))
    value, slope = summed_loss(rows, labels, shares, point)
    parts = [
        summed_loss(*some, point) for some in zip(split(rows), split(labels), split(shares), strict=True)
    ]
    assert sum(one for one, _ in parts) == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(sum(own for _, own in parts), slope, atol=1e-5)
    moved = point.copy()
    moved[2, 0] += 1e-2
    change = summed_loss(rows.astype(np.float64), labels, shares, moved)[0] - value
    assert change / 1e-2 == pytest.approx(slope[2, 0], abs=5e-3)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_regression_over_shards_is_that_of_all_rows(classes, weighted):
    features, labels, weights = made(classes)
    rows, given = Axes.of(features)(features), weights / weights.mean() if weighted else None
    whole = regression(rows, labels, classes=classes, C=0.01, weights=given)
    one = regression([rows], labels, classes=classes, C=0.01, weights=given)
    assert np.array_equal(one, whole)
    for shards in (split(rows), lambda: iter(split(rows))):
        found = regression(shards, labels, classes=classes, C=0.01, weights=given)
        assert np.abs(logits_of(rows, found) - logits_of(rows, whole)).max() < 0.02


@pytest.mark.parametrize("classes", [2, 4])
def test_a_layer_of_shards_is_that_of_refit(classes):
    features, labels, _ = made(classes)
    whole = refit(features, labels, "plain", C=0.01, seeds=1)
    one = refit_shards([features], labels, C=0.01)
    assert torch.equal(one.weight, whole.weight)
    assert torch.equal(one.bias, whole.bias)
    equal = refit(features, labels, "classes equal", C=0.01, seeds=1)
    weights = 7 / np.bincount(labels)[labels]
    with torch.no_grad():
        for found, wanted in (
            (refit_shards(split(features), labels, C=0.01), whole),
            (refit_shards(lambda: iter(split(features)), labels, C=0.01, weights=weights), equal),
        ):
            said, meant = found(torch.from_numpy(features)), wanted(torch.from_numpy(features))
            assert (said - meant).abs().max() < 0.02
        assert (whole(torch.from_numpy(features)) - equal(torch.from_numpy(features))).abs().max() > 0.05


def test_shards_may_lie_on_the_disk_and_come_in_blocks(tmp_path, monkeypatch):
    features, labels, _ = made(2)
    np.save(tmp_path / "all.npy", features.astype(np.float16))
    mapped = np.load(tmp_path / "all.npy", mmap_mode="r")
    whole = refit_shards([np.asarray(mapped)], labels, C=0.01)
    monkeypatch.setattr(axes_module, "BLOCK", 15 * 4 * 64)
    asked = []

    class Watched(np.ndarray):
        def __getitem__(self, place):
            asked.append(len(range(*place.indices(len(self)))))
            return np.asarray(self.view(np.ndarray)[place])

    found = refit_shards([mapped.view(Watched)], labels, C=0.01)
    assert max(asked) == 64
    assert (found.weight - whole.weight).abs().max() < 1e-3
    merged = feature_moments(mapped[:50]).merge(feature_moments(mapped[50:]))
    again = refit_shards([mapped], labels, C=0.01, moments=merged)
    assert (again.weight - whole.weight).abs().max() < 1e-3


def test_what_does_not_fit_is_refused():
    features, labels, _ = made(2, n=40)
    once = iter([features])
    for shards, given, words in (
        (features, {}, "list of shards.*got ndarray"),
        (once, {}, "list of shards.*list_iterator"),
        (lambda: once, {}, "Expected shards with 40 rows in all.*got 0 or more"),
        ([], {}, "got none"),
        ([features[:0]], {}, "got none"),
        ([features[:20]], {}, "one for each of 20 rows"),
        ([features, features[:, :3]], {}, "got 15 and 3 numbers a row"),
        ([features], {"C": 0.0}, "C must be larger than 0"),
        ([features], {"classes": 3}, r"0…2; got \[0, 1\]"),
        ([features], {"weights": -np.ones(40)}, "weights of 0 or more"),
        ([features], {"weights": np.ones(3)}, "weights, a finite number for each of 40"),
        ([features.astype(int)], {}, "must be floats"),
    ):
        with pytest.raises(InputError, match=words):
            refit_shards(shards, labels, **given)
    with pytest.raises(InputError, match="got one"):
        refit_shards([features], np.zeros(40, int))
    rows = Axes.of(features)(features)
    for shards in ([rows, rows], [rows[:30]], [rows[:20], rows[20:, :3]]):
        with pytest.raises(InputError, match="Expected shards with 40 rows in all"):
            regression(shards, labels, classes=2, C=0.01)
