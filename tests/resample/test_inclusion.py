"""What batches draw, against looking at all orders, against the sampler itself, and where it is the weights."""

import itertools

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.resample import AdaptiveSampler, effective_sample_size, inclusion_probabilities, temper


def by_all_orders(weights, batch):
    weights = np.asarray(weights, float)
    found = np.zeros(len(weights))
    for order in itertools.permutations(range(len(weights)), batch):
        left, chance = weights.sum(), 1.0
        for row in order:
            chance *= weights[row] / left
            left -= weights[row]
        found[list(order)] += chance
    return found


@pytest.mark.parametrize(
    ("weights", "batch"),
    [
        ([3, 1, 1, 1], 2),
        ([10, 5, 1, 1, 1, 0.1], 3),
        ([1000, 1, 1, 1, 1], 2),
        ([0.3, 0.2, 0.9, 7, 2, 0.01, 1], 5),
        ([1, 1e-6, 1e-6, 1e-6], 2),
        ([1, 1, 1, 1, 1], 3),
    ],
)
def test_of_few_rows_it_is_exact(weights, batch):
    np.testing.assert_allclose(
        inclusion_probabilities(weights, batch), by_all_orders(weights, batch), atol=2e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "batch", "spread", "seed"),
    [(60, 16, 1.0, 0), (150, 32, 1.5, 1), (400, 8, 0.8, 2), (90, 80, 1.2, 3)],
)
def test_it_is_what_the_sampler_draws(rows, batch, spread, seed):
    weights = np.random.default_rng(seed).lognormal(0, spread, rows)
    sampler = AdaptiveSampler(np.repeat([1, 0], [rows, batch]), batch_size=2 * batch, steps=3000, seed=seed)
    sampler.renew({1: weights})
    for _ in sampler:
        pass
    expected = inclusion_probabilities(weights, batch)
    assert expected.sum() == pytest.approx(batch)
    assert expected.max() <= 1
    counted = sampler.draws[1]
    assert (counted.batch, counted.batches, counted.counts.sum()) == (batch, 3000, 3000 * batch)
    noise = np.sqrt(np.maximum(expected * (1 - expected), 1e-4) / 3000)
    assert np.abs(counted.counts / 3000 - expected).max() < 5 * noise.max()
    assert effective_sample_size(counted.counts) == pytest.approx(effective_sample_size(expected), rel=0.03)
    heavy = np.argsort(-weights)[: rows // 10]
    assert counted.counts[heavy].sum() / 3000 == pytest.approx(expected[heavy].sum(), rel=0.02)


def test_of_many_rows_and_of_one_draw_it_is_the_weights():
    weights = temper(np.random.default_rng(0).normal(size=50_000), ess=0.5, max_weight=10)
    np.testing.assert_allclose(inclusion_probabilities(weights, 32) / 32, weights, rtol=5e-3)
    few = np.random.default_rng(1).lognormal(0, 2, 30)
    np.testing.assert_allclose(inclusion_probabilities(few, 1), few / few.sum(), rtol=1e-12)
    np.testing.assert_allclose(inclusion_probabilities(np.full(700, 0.2), 32), 32 / 700)


@pytest.mark.parametrize("rows", [40, 300])
def test_a_row_is_drawn_once_a_batch_at_most_and_never_without_weight(rows):
    weights = np.r_[np.full(5, 1e4), np.ones(rows - 10), np.zeros(5)]
    found = inclusion_probabilities(weights, 20)
    assert found[:5].min() > 0.999
    assert found.max() <= 1
    assert (found[-5:] == 0).all()
    np.testing.assert_allclose(found[5:-5], 15 / (rows - 10), rtol=1e-3)
    assert (inclusion_probabilities(weights, rows - 5) == (weights > 0)).all()


def test_order_and_scale_do_not_matter():
    weights = np.random.default_rng(5).lognormal(0, 1, 50)
    order = np.random.default_rng(6).permutation(50)
    found = inclusion_probabilities(weights, 9)
    np.testing.assert_allclose(inclusion_probabilities(1e-9 * weights[order], 9), found[order], rtol=1e-9)


@pytest.mark.parametrize(
    ("weights", "batch"),
    [([1.0, 0.0], 2), ([1.0, np.nan], 1), ([1.0, -1.0], 1), ([[1.0]], 1), ([1.0, 1.0], 0), ([], 1)],
)
def test_what_cannot_be_drawn_is_refused(weights, batch):
    with pytest.raises(InputError, match="Expected finite weights"):
        inclusion_probabilities(weights, batch)
