import numpy as np
import pytest

from equipoise.intervals import mean, proportion


@pytest.mark.parametrize(("hits", "n"), [(20, 20), (0, 12), (15, 20), (3, 400)])
def test_of_zeros_and_ones_it_is_the_exact_interval_of_a_share(hits, n):
    found, exact = mean(np.arange(n) < hits, ""), proportion(hits, n)
    assert (found.value, found.low, found.high) == pytest.approx(
        (exact.value, exact.low, exact.high), abs=0.002
    )


@pytest.mark.parametrize("law", [(5, 0.3), (0.5, 0.5), (2, 2)])
def test_limits_equal_those_of_random_weights_with_one_worst_value_more(law):
    values = np.random.default_rng(0).beta(*law, 40)
    weights = np.random.default_rng(1).standard_exponential((60_000, 41))
    weights /= weights.sum(axis=1, keepdims=True)
    low = np.quantile(weights @ np.append(values, 0), 0.025)
    high = np.quantile(weights @ np.append(values, 1), 0.975)
    found = mean(values, "")
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.003)


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b", "n"), [(5, 0.3, 10), (0.5, 0.5, 10), (20, 1, 30)])
def test_skewed_values_are_held(a, b, n):
    generator = np.random.default_rng(2)
    found = [mean(generator.beta(a, b, n), "") for _ in range(200)]
    assert np.mean([rate.low <= a / (a + b) <= rate.high for rate in found]) > 0.93


def test_many_values_are_taken_together_without_a_difference_that_counts():
    values = np.random.default_rng(3).beta(5, 0.5, 30_000)
    found = mean(values, "")
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.15 * half)
    failing = np.where(np.arange(30_000) < 4, 0.0, 1.0)
    assert mean(failing, "").low == pytest.approx(proportion(29_996, 30_000).low, abs=2e-5)


def test_order_does_not_matter_and_nothing_is_undefined():
    values = np.random.default_rng(4).random(50)
    assert mean(values, "") == mean(values[::-1].copy(), "")
    assert mean(np.array([]), "no positives").reason == "no positives"
