"""Means over classes, each counting once."""

import numpy as np
import pytest

from equipoise.intervals import Pairs, Proportions, combination, macro_average, macro_difference, proportion


def missed(draw, truth, draws=150):
    """Percent of intervals below and above which the truth lies."""
    rates = [draw() for _ in range(draws)]
    return tuple(
        100 * np.mean(side) for side in ([truth < r.low for r in rates], [truth > r.high for r in rates])
    )


@pytest.mark.parametrize(
    ("n", "p"),
    [([10] * 100, 0.95), ([1] * 200, 0.8), ([30, 30], 0.9), ([3, 200, 200, 200], 0.8), ([20] * 5, 0.7)],
)
def test_the_truth_is_held_where_square_and_add_misses_it(n, p):
    rng, sizes = np.random.default_rng(0), np.array(n)
    below, above = missed(lambda: macro_average(Proportions(rng.binomial(sizes, p), sizes)), p)
    assert below + above < 8  # 5, and what 150 draws scatter by


def test_square_and_add_misses_it():
    rng, sizes = np.random.default_rng(0), np.full(100, 10)

    def draw():
        rates = Proportions(rng.binomial(sizes, 0.95), sizes).rates("")
        return combination(np.full(100, 0.01), rates, 1000)

    assert missed(draw, 0.95, 100)[1] > 6


def test_equal_shares_give_nearly_the_interval_of_all_images():
    shares = Proportions(np.full(20, 45), np.full(20, 50))
    found, all_images = macro_average(shares), proportion(900, 1000)
    assert (found.low, found.high) == pytest.approx((all_images.low, all_images.high), abs=0.002)


@pytest.mark.parametrize("hits", [[0, 0], [5, 5], [0, 5], [5, 4]])
def test_limits_are_shares_and_hold_the_number(hits):
    found = macro_average(Proportions(np.array(hits), np.array([5, 5])))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.2


def test_turning_hits_and_misses_round_turns_the_interval():
    hits, n = np.array([3, 18, 40]), np.array([5, 20, 90])
    one, other = macro_average(Proportions(hits, n)), macro_average(Proportions(n - hits, n)).complement
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_one_class_has_the_exact_limits():
    assert macro_average(Proportions(np.array([9]), np.array([10]))) == proportion(9, 10)
    pairs = Pairs.of(np.array([6]), np.array([0]), np.array([20]))
    assert macro_difference(pairs) == pairs.rates("")[0]


@pytest.mark.parametrize(
    ("n", "won", "lost"),
    [
        ([10] * 50, 0.05, 0.05),
        ([2] * 100, 0.6, 0.05),
        ([20] * 5, 0.1, 0.1),
        ([15] * 10, 0.3, 0.0),
        ([30, 300], 0.05, 0.1),
    ],
)
def test_paired_differences_are_held(n, won, lost):
    rng, sizes = np.random.default_rng(1), np.array(n)

    def draw():
        counts = rng.multinomial(sizes, [won, lost, 1 - won - lost])
        return macro_difference(Pairs.of(counts[:, 0], counts[:, 1], sizes))

    below, above = missed(draw, won - lost)
    assert below + above < 8


def test_turning_the_models_round_turns_the_difference():
    won, lost, n = np.array([4, 0, 9]), np.array([1, 2, 3]), np.array([20, 30, 40])
    one, other = macro_difference(Pairs.of(won, lost, n)), macro_difference(Pairs.of(lost, won, n))
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.value == pytest.approx(np.mean((won - lost) / n))


def test_equal_models_on_few_images_are_not_equal_beyond_doubt():
    nothing = np.zeros(3, int)
    found = macro_difference(Pairs.of(nothing, nothing, np.full(3, 10)))
    assert found.low < -0.05
    assert found.high > 0.05
