"""Mean and variance by cell: against NumPy, and of shards against the whole."""

from __future__ import annotations

from functools import reduce
from itertools import permutations

import numpy as np
import pytest

from equipoise.density import CellMoments
from equipoise.errors import InputError


def made(n=200, d=3):
    chance = np.random.default_rng(0)
    return chance.normal(size=(n, d)) * 4 + 1e3, chance.choice([0, 1, 2, 4], n)


def test_they_are_those_of_numpy():
    values, cells = made()
    found = CellMoments.of(values.astype(np.float32), cells, 5)
    assert found.rows.tolist() == np.bincount(cells, minlength=5).tolist()
    for cell in (0, 1, 2, 4):
        own = values[cells == cell].astype(np.float32).astype(float)
        np.testing.assert_allclose(found.mean[cell], own.mean(0))
        np.testing.assert_allclose(found.variance[cell], own.var(0))
    assert np.isnan(found.variance[3]).all()
    assert (found.mean[3] == 0).all()
    np.testing.assert_allclose(found.total.mean[0], values.mean(0))
    np.testing.assert_allclose(found.total.variance[0], values.var(0), rtol=1e-4)


def test_shards_in_any_order_are_the_whole():
    values, cells = made()
    whole = CellMoments.of(values, cells, 5)
    order = np.argsort(cells, kind="stable")  # shards that lack cells of the others
    parts = (order[:0], order[:30], order[30:95], order[95:])
    shards = [CellMoments.of(values[rows], cells[rows], 5) for rows in parts]
    for some in permutations(shards):
        found = reduce(CellMoments.merge, some)
        assert np.array_equal(found.rows, whole.rows)
        np.testing.assert_allclose(found.mean, whole.mean)
        np.testing.assert_allclose(found.squares, whole.squares)


def test_risks_by_class_and_group():
    chance = np.random.default_rng(1)
    labels, groups, risks = chance.integers(0, 2, 60), chance.integers(0, 3, 60), chance.random(60)
    halves = [
        CellMoments.of(risks[rows], labels[rows] * 3 + groups[rows], 6)
        for rows in (slice(0, 25), slice(25, 60))
    ]
    found = halves[0].merge(halves[1]).mean.reshape(2, 3)
    assert found[1, 2] == pytest.approx(risks[(labels == 1) & (groups == 2)].mean())


@pytest.mark.parametrize(
    ("values", "cells", "words"),
    [
        (np.zeros((3, 2)), [0, 1], r"shapes \(3, 2\) and \(2,\)"),
        (np.zeros((1, 2, 2)), [0], "shape"),
        (np.zeros(2), [0.5, 1.0], "float64"),
        (np.zeros(2), [0, 2], "Cells must be 0…1; got 0 to 2"),
        (np.zeros(2), [-1, 1], "got -1 to 1"),
        (np.array([0.0, np.inf]), [0, 1], "infinity in row 1"),
    ],
)
def test_errors(values, cells, words):
    with pytest.raises(InputError, match=words):
        CellMoments.of(values, cells, 2)


def test_other_cells_do_not_merge():
    with pytest.raises(InputError, match=r"got \(2, 1\) and \(3, 1\)"):
        CellMoments.of(np.zeros(2), [0, 1], 2).merge(CellMoments.of(np.zeros(2), [0, 1], 3))
