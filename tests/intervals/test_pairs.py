import numpy as np
import pytest

from equipoise.intervals import Pairs

stats = pytest.importorskip("scipy.stats")


def tables(n):
    """All that n images can show: only the first hits, only the second."""
    won, lost = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)]).T
    return won, lost, np.full(len(won), n)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 10, 25, 60])
def test_an_interval_excludes_0_exactly_where_the_exact_mcnemar_test_rejects(n):
    won, lost, images = tables(n)
    pairs = Pairs.of(won, lost, images)
    for b, c, low, high in zip(won, lost, pairs.low(), pairs.high(), strict=True):
        rejected = b + c > 0 and stats.binomtest(int(b), int(b + c)).pvalue < 0.05
        assert (low > 0 or high < 0) == rejected


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 30, 80])
def test_differences_are_held_and_equal_models_seldom_told_apart(n):
    won, lost, images = tables(n)
    pairs = Pairs.of(won, lost, images)
    low, high = pairs.low(), pairs.high()
    for first, second in [(0.002, 0.002), (0.05, 0.05), (0.3, 0.3), (0.1, 0), (0.2, 0.02), (0.01, 0.3)]:
        chance = stats.multinomial.pmf(
            np.stack([won, lost, n - won - lost], axis=1), n, [first, second, 1 - first - second]
        )
        held = chance[(low <= first - second + 1e-9) & (first - second <= high + 1e-9)].sum()
        assert held >= 0.95


def test_three_more_found_of_sixty_and_none_lost_prove_nothing_and_six_do():
    found = Pairs.of(np.array([3, 5, 6]), np.array([0, 0, 0]), np.array([60, 60, 60]))
    assert found.low()[0] < found.low()[1] < 0 < found.low()[2]
    assert found.values == pytest.approx([0.05, 5 / 60, 0.1])


def test_swapping_the_models_flips_the_sign():
    forth = Pairs.of(np.array([9, 0]), np.array([2, 4]), np.array([50, 40]))
    back = Pairs.of(forth.lost, forth.won, forth.n)
    assert forth.low() == pytest.approx(-back.high())
    assert forth.high() == pytest.approx(-back.low())
    assert forth.values == pytest.approx(-back.values)


def test_images_on_which_the_models_agree_count_only_as_images():
    few, many = (Pairs.of(np.array([8]), np.array([1]), np.array([n])) for n in (20, 2000))
    assert many.low() * 2000 == pytest.approx(few.low() * 20, rel=0.35)
    assert many.low() > 0


def test_agreement_on_every_image_is_no_proof_of_equality():
    rate = Pairs.of(np.array([0]), np.array([0]), np.array([30])).rates("")[0]
    assert -0.15 < rate.low < -0.05
    assert 0.05 < rate.high < 0.15


def test_thresholds_in_doubt_widen():
    won, lost, n = np.array([12]), np.array([2]), np.array([100])
    sure = Pairs.of(won, lost, n)
    spread = Pairs(
        np.array([[4], [12], [12], [25]] * 16), np.array([[6], [2], [2], [1]] * 16), n, sure.values
    )
    assert spread.low()[0] < 0 < sure.low()[0]
    assert spread.high()[0] > sure.high()[0]


def test_no_image_is_undefined():
    assert (
        Pairs.of(np.array([0]), np.array([0]), np.array([0])).rates("no positives")[0].reason
        == "no positives"
    )


@pytest.mark.slow
def test_many_groups_have_the_limits_that_each_has_among_few():
    rng = np.random.default_rng(0)
    n = np.r_[rng.integers(0, 40, 1200), np.full(20, 30)]
    won = rng.binomial(n, 0.2)
    lost = rng.binomial(n - won, 0.2)
    won[-20:], lost[-20:] = 6, 1
    many = Pairs.of(won, lost, n)
    for rows in (np.arange(10), np.arange(600, 615), np.arange(1204, 1220)):
        some = many.take(rows)
        np.testing.assert_array_equal(some.low(), many.low()[rows])
        np.testing.assert_array_equal(some.high(0.001), many.high(0.001)[rows])
    same = many.take(np.arange(1200, 1220))
    np.testing.assert_array_equal(same.low(), many.take(np.array([1200, 1201])).low()[[0] * 20])
