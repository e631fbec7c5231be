import numpy as np
import pytest

from equipoise.intervals import Proportions, proportion

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (20, 20), (7, 9), (1, 1), (950, 1000), (3, 10**7)])
def test_a_share_has_the_exact_interval_of_the_outside_reference(hits, n):
    reference = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
    found = proportion(hits, n)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-10)
    assert (found.value, found.n) == (hits / n, n)


@pytest.mark.parametrize("n", [10, 37, 200])
def test_shares_are_held_whatever_they_are(n):
    hits = np.arange(n + 1)
    shares = Proportions(hits, np.full(n + 1, n))
    low, high = shares.low(), shares.high()
    for truth in np.linspace(0.001, 0.999, 97):
        chance = stats.binom.pmf(hits, n, truth)
        assert chance[(low <= truth) & (truth <= high)].sum() >= 0.95


def test_misses_mirror_hits():
    shares = Proportions(np.array([3, 0, 17]), np.array([20, 5, 17]))
    missed = Proportions(shares.n - shares.hits, shares.n)
    assert shares.low() == pytest.approx(1 - missed.high())
    assert shares.high(0.1) == pytest.approx(1 - missed.low(0.1))


def test_nothing_is_undefined_with_its_reason():
    empty = Proportions(np.array([0, 2]), np.array([0, 4])).rates("no positives")
    assert empty[0].reason == "no positives"
    assert empty[1].value == 0.5


def test_one_possible_threshold_is_no_doubt():
    hits, n = np.array([7, 0, 9]), np.array([9, 30, 9])
    plain, mixed = Proportions(hits, n), Proportions(hits, n, np.repeat(hits[None], 5, axis=0))
    assert mixed.low() == pytest.approx(plain.low(), abs=1e-9)
    assert mixed.high() == pytest.approx(plain.high(), abs=1e-9)


def test_doubt_in_the_threshold_widens_and_no_more_than_its_ends():
    n, possible = np.array([40]), np.array([[30], [34], [38]])
    mixed = Proportions(np.array([34]), n, possible)
    ends = [Proportions(one, n) for one in possible]
    assert ends[0].low()[0] < mixed.low()[0] < ends[1].low()[0]
    assert ends[1].high()[0] < mixed.high()[0] < ends[2].high()[0]


def test_where_the_threshold_may_be_above_every_score_the_share_may_be_nothing():
    mixed = Proportions(np.array([34]), np.array([40]), np.array([[0], [34], [34], [35]]))
    assert mixed.low()[0] == 0
    assert mixed.take(np.array([0])).low()[0] == 0
