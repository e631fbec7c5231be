"""The alias table holds its weights exactly, and draws by them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equipoise.resample.alias import AliasTable


def held(table):
    """The distribution that a table stands for."""
    n = len(table)
    return (table.keep + np.bincount(table.alias, 1 - table.keep, n)) / n


@settings(max_examples=150, deadline=None)
@given(arrays(np.float64, st.integers(1, 60), elements=st.one_of(st.just(0.0), st.floats(1e-9, 1e9))))
def test_a_table_holds_its_weights(weights):
    if not weights.any():
        weights[0] = 1.0
    table = AliasTable(weights)
    np.testing.assert_allclose(held(table), weights / weights.sum(), atol=1e-12)
    assert (table.keep[weights == 0] == 0).all()
    assert (weights[table.alias[weights == 0]] > 0).all()


def test_a_large_table_holds_its_weights():
    weights = np.random.default_rng(0).pareto(1.1, 200_000)
    np.testing.assert_allclose(held(AliasTable(weights)), weights / weights.sum(), rtol=1e-6, atol=1e-13)


@pytest.mark.parametrize("rows", [3, 40])
def test_distinct_draws_follow_numpy(rows):
    weights = np.random.default_rng(0).dirichlet(np.full(rows, 0.7))
    generator = np.random.default_rng(1)
    table = AliasTable(weights)
    trials, size = 6000, 3
    ours = np.zeros((size, rows))
    theirs = np.zeros((size, rows))
    for _ in range(trials):
        drawn = table.draw_distinct(size, generator)
        assert np.unique(drawn).size == size
        ours[np.arange(size), drawn] += 1
        theirs[np.arange(size), generator.choice(rows, size, replace=False, p=weights)] += 1
    expected = (ours + theirs) / 2
    seen = expected > 10
    chi_square = ((ours - theirs)[seen] ** 2 / (2 * expected[seen])).sum()
    freedom = seen.sum()
    assert chi_square < freedom + 6 * np.sqrt(2 * freedom)


def test_rows_with_almost_no_weight_are_still_found():
    weights = np.full(1000, 1e-12)
    weights[:4] = 1.0
    drawn = AliasTable(weights).draw_distinct(300, np.random.default_rng(0))
    assert np.unique(drawn).size == 300
    assert sorted(drawn[:4].tolist()) == [0, 1, 2, 3]
    only = np.zeros(100)
    only[[3, 50, 99]] = [1.0, 1e-200, 1e-250]
    assert AliasTable(only).draw_distinct(3, np.random.default_rng(0)).tolist() == [3, 50, 99]
