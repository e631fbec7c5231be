"""Exact tests and intervals against an outside reference, and power against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, fisher_exact

from equipoise.slices.excess import difference, lower_limits, one_sided
from equipoise.slices.power import smallest_rate


@pytest.mark.parametrize(
    ("hits", "n", "every", "total"), [(8, 20, 30, 300), (0, 12, 5, 90), (12, 12, 12, 40)]
)
def test_one_sided_is_fishers_exact_test(hits, n, every, total):
    table = [[hits, n - hits], [every - hits, total - n - (every - hits)]]
    assert float(one_sided(hits, n, every, total)) == pytest.approx(fisher_exact(table, "greater").pvalue)


def test_difference_is_square_and_add_of_exact_limits():
    inside = binomtest(14, 40).proportion_ci(0.95)
    outside = binomtest(30, 400).proportion_ci(0.95)
    found = difference(14, 40, 44, 440)
    value = 14 / 40 - 30 / 400
    assert found.value == pytest.approx(value)
    assert found.low == pytest.approx(value - np.hypot(14 / 40 - inside.low, outside.high - 30 / 400))
    assert found.high == pytest.approx(value + np.hypot(inside.high - 14 / 40, 30 / 400 - outside.low))
    assert found.low == pytest.approx(float(lower_limits(np.array([14]), np.array([40]), 44, 440)[0]))


def test_intervals_allow_for_the_choice():
    assert difference(14, 40, 44, 440, tail=0.005).low < difference(14, 40, 44, 440).low


def test_power_is_what_simulation_says():
    rate = smallest_rate(50, 100, 1000, 0.01)
    rng = np.random.default_rng(0)
    seen = {}
    for chance in (rate - 0.05, rate):
        hits = rng.binomial(50, chance, 4000)
        seen[chance] = (one_sided(hits, 50, hits + 95, 1000) <= 0.01).mean()
    assert seen[rate - 0.05] < 0.8 <= seen[rate] + 0.02


def test_what_cannot_be_seen_has_no_power():
    assert smallest_rate(9, 10, 100, 0.05) is None
    assert smallest_rate(10, 80, 100, 1e-9) is None
    assert smallest_rate(100, 10, 100, 0.05) is None
