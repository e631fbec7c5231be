import numpy as np
import pytest

from equipoise.fairness import intervals

scipy_stats = pytest.importorskip("scipy.stats")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (20, 20), (7, 9), (950, 1000)])
def test_wilson_equals_the_outside_reference(hits, n):
    reference = scipy_stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert intervals.wilson(hits, n) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_rates_are_resampled_as_jeffreys():
    hits, n = np.array([0, 5, 30]), np.array([30, 30, 30])
    drawn = intervals.resampled_rates(hits, n, replicates=40_000, generator=rng())
    for i in range(3):
        expected = scipy_stats.beta.ppf([0.025, 0.5, 0.975], hits[i] + 0.5, 30.5 - hits[i])
        assert np.percentile(drawn[:, i], [2.5, 50, 97.5]) == pytest.approx(expected, abs=0.004)


def test_rates_agree_with_an_ordinary_bootstrap_of_many_images():
    outcomes = np.repeat([1, 0], [900, 100])
    plain = rng(1).choice(outcomes, (3000, 1000)).mean(axis=1)
    ours = intervals.resampled_rates(np.array([900]), np.array([1000]), replicates=20_000, generator=rng())
    assert np.percentile(ours, [2.5, 97.5]) == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.003)


def test_a_group_without_misses_is_not_without_doubt():
    drawn = intervals.resampled_rates(np.array([12]), np.array([12]), replicates=2000, generator=rng())
    rate = intervals.rate(12, 12, drawn[:, 0], "")
    assert rate.high == rate.value == 1
    assert 0.7 < rate.low < 0.85


def test_an_empty_group_is_undefined():
    drawn = intervals.resampled_rates(np.array([0]), np.array([0]), replicates=200, generator=rng())
    assert np.isnan(drawn).all()
    assert intervals.rate(0, 0, drawn[:, 0], "no positives").reason == "no positives"


def test_resampled_ranks_equal_sorting_resamples():
    n, rank = 40, 3
    ours = intervals.resampled_ranks(n, rank, replicates=60_000, generator=rng())
    naive = np.sort(rng(1).integers(0, n, (60_000, n)), axis=1)[:, rank]
    ours, naive = np.bincount(ours, minlength=n) / 60_000, np.bincount(naive, minlength=n) / 60_000
    assert np.abs(ours - naive).max() < 0.01


def test_each_model_of_a_pair_is_resampled_as_if_alone():
    n, both, first, second = np.array([50]), 38, 40, 45
    shape = (30_000, 1)
    pair = intervals.resampled_pairs(*(np.full(shape, c) for c in (both, first, second)), n, rng())
    for drawn, hits in zip(pair, (first, second), strict=True):
        alone = intervals.resampled_rates(np.array([hits]), n, replicates=30_000, generator=rng(1))
        ends = [2.5, 50, 97.5]
        assert np.percentile(drawn, ends) == pytest.approx(np.percentile(alone, ends), abs=0.005)
    expected = np.corrcoef(np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [38, 2, 7, 3], axis=0).T)[0, 1]
    assert np.corrcoef(pair[0][:, 0], pair[1][:, 0])[0, 1] == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("mean", "variance"), [(0.5, 0.001), (0.999, 1e-7), (1.0, 0.0), (0.0, 0.0), (0.3, np.nan), (0.9999, 0.5)]
)
def test_intervals_of_means_stay_in_range_and_hold_the_mean(mean, variance):
    rate = intervals.logit_interval(mean, variance, 40)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1
    assert rate.low < rate.high


def spreads(hits, n, seed=0, replicates=600):
    generator = rng(seed)
    drawn = intervals.resampled_rates(hits, n, replicates=replicates, generator=generator)
    compare = hits, n, drawn, intervals.resampled_as_equal(hits, n, replicates, generator)
    return intervals.gap(*compare), intervals.worst(*compare)[1], intervals.variance(*compare)


def test_values_are_those_of_the_definition():
    hits, n = np.array([90, 80, 99]), np.array([100, 100, 110])
    gap, worst, variance = spreads(hits, n)
    assert gap.value == pytest.approx(0.1)
    assert worst.value == pytest.approx(0.8)
    assert worst.n == 100
    assert variance.value == pytest.approx(np.var([90, 80, 90]))
    assert gap.n == variance.n == 310


def test_one_group_has_a_worst_rate_but_no_gap():
    gap, worst, variance = spreads(np.array([9]), np.array([10]))
    assert worst.value == 0.9
    assert gap.reason == variance.reason == "fewer than two groups have positives"


@pytest.mark.parametrize(
    ("rates", "sizes"),
    [
        ([0.98] * 7, [700] * 7),
        ([0.99] * 6 + [0.95], [700] * 7),
        ([0.97] * 4 + [0.9], [200] * 4 + [25]),
        ([0.99, 0.98, 0.97, 0.96, 0.95, 0.94], [300] * 6),
    ],
)
def test_intervals_cover(rates, sizes):
    rates, sizes, runs, generator = np.array(rates), np.array(sizes), 100, rng(7)
    truth = np.ptp(rates), rates.min(), np.var(100 * rates)
    covered = np.zeros(3)
    for run in range(runs):
        found = spreads(generator.binomial(sizes, rates), sizes, seed=run, replicates=400)
        covered += [r.low - 1e-9 <= t <= r.high + 1e-9 for r, t in zip(found, truth, strict=True)]
    # 95 % nominal; the binomial chance of fewer than 85 of 100 at 92 % is about 1 %.
    assert (covered >= 85).all()


def test_equal_groups_are_not_called_unequal():
    sizes, generator = np.full(7, 700), rng(3)
    false_alarms = 0
    for run in range(100):
        gap, _, variance = spreads(generator.binomial(sizes, 0.98), sizes, seed=run, replicates=400)
        false_alarms += gap.low > 0 or variance.low > 0
    assert false_alarms <= 10


def test_a_bias_in_the_replicates_moves_the_interval_back_twice():
    replicates = rng().normal(3.0, 1.0, 50_000)
    rate = intervals.bias_corrected(replicates, 2.0, 10)
    assert (rate.low, rate.high) == pytest.approx((1 - 1.96, 1 + 1.96), abs=0.05)
