import numpy as np
import pytest

from equipoise.intervals import Ordered, area, area_difference
from equipoise.intervals.areas import placements

stats = pytest.importorskip("scipy.stats")


def test_values_are_scikit_learns_ties_included():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    positives, negatives = generator.integers(2, 9, 30), generator.integers(0, 7, 50)
    expected = metrics.roc_auc_score(np.r_[np.ones(30), np.zeros(50)], np.r_[positives, negatives])
    assert area(positives, negatives).value == pytest.approx(expected)
    naive = [np.mean((negatives < p) + 0.5 * (negatives == p)) for p in positives]
    assert placements(positives, negatives) == pytest.approx(naive)


@pytest.mark.parametrize(
    ("truth", "n", "m"),
    [(0.75, 10, 1000), (0.97, 20, 1000), (0.99, 10, 1000), (0.99, 160, 30), (0.9, 60, 90)],
)
def test_small_groups_that_are_separated_well_are_held(truth, n, m):
    generator = np.random.default_rng(1)
    mu = stats.norm.ppf(truth) * np.sqrt(2)
    found = [area(generator.normal(mu, 1, n), generator.normal(0, 1, m)) for _ in range(300)]
    assert np.mean([rate.low <= truth <= rate.high for rate in found]) > 0.93


def test_a_few_images_that_fail_among_many_that_do_not_are_held():
    generator, truth = np.random.default_rng(2), 0.972778
    found = [
        area(generator.normal(np.where(generator.random(40) < 0.05, 0, 4), 1), generator.normal(size=1000))
        for _ in range(300)
    ]
    assert np.mean([rate.low <= truth <= rate.high for rate in found]) > 0.92


def test_perfect_separation_has_the_doubt_of_the_smaller_class_and_is_symmetric():
    perfect = area(np.arange(20.0) + 50, np.arange(30.0))
    assert (perfect.value, perfect.high, perfect.n) == (1, 1, 20)
    assert perfect.low == pytest.approx(0.025 ** (1 / 20), abs=1e-6)
    wrong = area(np.arange(20.0), np.arange(30.0) + 50)
    assert (wrong.low, wrong.high) == pytest.approx((1 - perfect.high, 1 - perfect.low))


def test_large_samples_have_delongs_interval():
    generator = np.random.default_rng(3)
    positives, negatives = generator.normal(1, 2.5, 3000), generator.normal(0, 1, 3000)
    found = area(positives, negatives)
    above, below = placements(positives, negatives), placements(negatives, positives)
    half = 1.96 * np.sqrt(above.var(ddof=1) / 3000 + below.var(ddof=1) / 3000)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.05 * half)


def test_equal_models_are_seldom_told_apart_and_different_ones_are():
    generator, alarms = np.random.default_rng(4), 0
    for _ in range(200):
        luck = generator.normal(size=112)
        first, second = (
            luck + generator.normal(size=112) + np.r_[np.full(12, 1.5), np.zeros(100)] for _ in range(2)
        )
        rate = area_difference((first[:12], first[12:]), (second[:12], second[12:]))
        alarms += not rate.low <= 0 <= rate.high
    assert alarms <= 16
    labels = np.r_[np.ones(200), np.zeros(200)]
    good, bad = labels + generator.normal(0, 0.3, 400), labels + generator.normal(0, 3, 400)
    assert area_difference((good[:200], good[200:]), (bad[:200], bad[200:])).low > 0.2


def test_undefined_without_one_of_the_classes():
    some, none = np.ones(3), np.array([])
    assert area(none, some).reason == area_difference((none, some), (none, some)).reason == "no positives"
    assert area(some, none).reason == area_difference((some, none), (some, none)).reason == "no negatives"


def test_negatives_sorted_once_give_the_same_to_the_bit():
    rng = np.random.default_rng(0)
    for size in (1, 2, 30, 400):
        negatives = rng.normal(size=size).round(1)
        ordered = Ordered.of(negatives)
        for positives in (rng.normal(1, 1, 20).round(1), rng.normal(3, 1, 3), rng.normal(size=1)):
            assert area(positives, ordered) == area(positives, negatives)
    assert area(positives, Ordered.of(np.empty(0))).reason == "no negatives"
