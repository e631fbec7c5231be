"""Agreement of several rarities."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from equipoise.density import agreement, ranks
from equipoise.errors import InputError


def test_ranks_are_those_of_scipy_in_the_middle_of_ties():
    values = torch.tensor([3.0, 1.0, 1.0, 7.0, -2.0])
    np.testing.assert_allclose(ranks(values), (rankdata(values) - 0.5) / 5)


def test_mean_of_the_ranks_whatever_the_unit():
    chance = np.random.default_rng(0)
    one, two = chance.normal(size=200), chance.gamma(1.0, size=200)
    expected = ((rankdata(one) - 0.5) + (rankdata(two) - 0.5)) / 400
    np.testing.assert_allclose(agreement(one, two), expected)
    np.testing.assert_allclose(agreement(1e6 * one + 3, torch.from_numpy(np.exp(two))), expected)
    np.testing.assert_allclose(agreement(one), (rankdata(one) - 0.5) / 200)


def test_noise_of_single_seeds_averages_out():
    chance = np.random.default_rng(1)
    rare = np.arange(1000) < 50
    seeds = [rare * 1.0 + chance.normal(size=1000) for _ in range(8)]
    found = [float(np.mean(np.argsort(-np.asarray(r))[:50] < 50)) for r in (seeds[0], agreement(*seeds))]
    assert found[1] > found[0] + 0.25


@pytest.mark.parametrize(
    ("rarities", "message"),
    [
        ([], r"got shapes \[\]"),
        ([np.ones(3), np.ones(4)], r"\[\(3,\), \(4,\)\]"),
        ([np.ones((3, 1))], r"\[\(3, 1\)\]"),
        ([np.ones(3), np.array([0.0, np.nan, 1.0])], "got nan in row 1 of number 1"),
    ],
)
def test_what_cannot_agree(rarities, message):
    with pytest.raises(InputError, match=message):
        agreement(*rarities)
