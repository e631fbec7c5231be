import numpy as np
import pytest

from equipoise.intervals import (
    Pairs,
    Proportions,
    combination,
    gap,
    gap_difference,
    proportion,
    variance,
    variance_difference,
    worst,
    worst_difference,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def spreads(hits, n, seed=0):
    shares = Proportions(np.array(hits), np.array(n))
    return gap(shares), worst(shares)[1], variance(shares, replicates=600, generator=rng(seed))


def test_values_are_those_of_the_definition():
    found, lowest, spread = spreads([90, 80, 99], [100, 100, 110])
    assert found.value == pytest.approx(0.1)
    assert (lowest.value, lowest.n) == (pytest.approx(0.8), 100)
    assert spread.value == pytest.approx(np.var([90, 80, 90]))
    assert found.n == spread.n == 310


def test_one_group_has_a_worst_rate_but_no_gap():
    found, lowest, spread = spreads([9], [10])
    assert (lowest.low, lowest.high) == pytest.approx((proportion(9, 10).low, proportion(9, 10).high))
    assert found.reason == spread.reason == "fewer than two groups have positives"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rates", "sizes"),
    [
        ([0.98] * 7, [700] * 7),
        ([0.99] * 6 + [0.95], [700] * 7),
        ([0.97] * 4 + [0.9], [200] * 4 + [25]),
        ([0.84] + [0.945] * 11, [20] * 12),
        ([0.885, 0.964, 0.977], [60, 200, 600]),
        ([0.5, 0.99], [10, 10]),
        ([0.9] * 12, [100] * 12),
    ],
)
def test_intervals_hold_the_truth(rates, sizes):
    rates, runs, generator = np.array(rates), 120, rng(7)
    truth = np.ptp(rates), rates.min(), np.var(100 * rates)
    held = np.zeros(3)
    for run in range(runs):
        found = spreads(generator.binomial(sizes, rates), sizes, seed=run)
        held += [r.low - 1e-9 <= t <= r.high + 1e-9 for r, t in zip(found, truth, strict=True)]
    # Nominal 95 %; fewer than 107 of 120 come in 1 % of cases at 94 %.
    assert (held >= 107).all()


def test_equal_groups_are_not_called_unequal():
    generator, alarms = rng(3), 0
    for run in range(100):
        found, _, spread = spreads(generator.binomial(700, 0.98, 7), [700] * 7, seed=run)
        alarms += found.low > 0 or spread.low > 0
    assert alarms <= 7


def test_a_group_apart_is_told_apart():
    found, lowest, spread = spreads([690, 695, 600], [700] * 3)
    assert found.low > 0.09
    assert spread.low > 10
    assert lowest.high < 0.9


def test_a_sum_of_two_is_square_and_add():
    first, second = proportion(40, 50), proportion(60, 90)
    found = combination([1, -1], [first, second], 140)
    down = np.hypot(first.value - first.low, second.high - second.value)
    up = np.hypot(first.high - first.value, second.value - second.low)
    assert found.value == pytest.approx(40 / 50 - 60 / 90)
    assert (found.value - found.low, found.high - found.value) == pytest.approx((down, up))
    assert combination([0.5, 0.5], [first, first], 1).value == pytest.approx(first.value)


def two_models(sizes, first, second, generator, together=0.7):
    """Shares of two models whose luck on an image is shared in part, and their pairs."""
    normal = pytest.importorskip("scipy.stats").norm
    ids = np.repeat(np.arange(len(sizes)), sizes)
    luck = np.sqrt(together) * generator.normal(size=len(ids))
    right = [
        luck + np.sqrt(1 - together) * generator.normal(size=len(ids)) < normal.ppf(rates)[ids]
        for rates in (np.array(first), np.array(second))
    ]
    n = np.array(sizes)
    count = lambda rows: np.bincount(ids[rows], minlength=len(n))  # noqa: E731
    pairs = Pairs.of(count(right[0] & ~right[1]), count(right[1] & ~right[0]), n)
    return Proportions(count(right[0]), n), Proportions(count(right[1]), n), pairs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "first", "second"),
    [
        ([60, 200, 600], [0.9, 0.95, 0.95], [0.9, 0.95, 0.95]),
        ([60, 200, 600], [0.95, 0.95, 0.95], [0.85, 0.95, 0.95]),
        ([20] * 12, [0.95] * 12, [0.8] + [0.95] * 11),
        ([300, 300], [0.9, 0.9], [0.75, 0.9]),
    ],
)
def test_differences_hold_the_truth(sizes, first, second):
    generator, held = rng(5), np.zeros(3)
    truth = min(first) - min(second), np.ptp(first) - np.ptp(second), np.var([100 * r for r in first])
    truth = (*truth[:2], truth[2] - np.var([100 * r for r in second]))
    for _ in range(100):
        one, other, pairs = two_models(sizes, first, second, generator)
        spread = [variance(shares, replicates=300, generator=generator) for shares in (one, other)]
        found = (
            worst_difference(one, other, pairs),
            gap_difference(one, other, pairs),
            variance_difference(*spread),
        )
        held += [r.low - 1e-9 <= t <= r.high + 1e-9 for r, t in zip(found, truth, strict=True)]
    assert (held >= 89).all()


def test_a_mended_worst_group_is_seen_though_the_models_have_different_ones():
    one, other, pairs = two_models([400, 400], [0.9, 0.9], [0.75, 0.9], rng(1), together=0.8)
    assert worst_difference(one, other, pairs).low > 0.05
    assert gap_difference(one, other, pairs).high < -0.01


def test_two_models_with_their_worst_groups_exchanged_differ_by_nothing_and_not_beyond_doubt():
    one, other, pairs = two_models([500, 500], [0.7, 0.9], [0.9, 0.7], rng(4))
    found = worst_difference(one, other, pairs)
    assert abs(found.value) < 0.05
    assert found.low < found.value - 0.02
    assert found.high > found.value + 0.02


def test_swapping_models_flips_signs():
    one, other, pairs = two_models([60, 100, 300], [0.9, 0.95, 0.9], [0.8, 0.95, 0.97], rng(2))
    back = Pairs.of(pairs.lost, pairs.won, pairs.n)
    for difference in (worst_difference, gap_difference):
        forth, again = difference(one, other, pairs), difference(other, one, back)
        assert forth.value == pytest.approx(-again.value)
        assert (forth.low, forth.high) == pytest.approx((-again.high, -again.low))


def test_one_group_differs_in_its_worst_as_in_itself():
    one, other, pairs = two_models([80], [0.9], [0.8], rng(3))
    assert worst_difference(one, other, pairs) == pairs.rates("")[0]
    assert gap_difference(one, other, pairs).reason == "fewer than two groups have positives"


def test_many_groups_are_compared_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    n = rng.integers(1, 60, 12)
    counts = rng.multinomial(n, [0.5, 0.2, 0.1, 0.2])
    first, second = (Proportions(counts[:, 0] + counts[:, i], n) for i in (1, 2))
    pairs = Pairs.of(counts[:, 1], counts[:, 2], n)
    whole = gap(first), gap_difference(first, second, pairs)
    monkeypatch.setattr("equipoise.intervals.several.PAIRS", 13)
    assert (gap(first), gap_difference(first, second, pairs)) == whole
