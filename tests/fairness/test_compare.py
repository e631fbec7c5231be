from dataclasses import asdict

import numpy as np
import pytest

from equipoise import Groups, fairness
from equipoise.errors import InputError
from equipoise.fairness.operating import Point, matched_pair, pairs_found
from equipoise.fairness.scored import Scored

POINTS = ("at_0.5", "at_fpr")


@pytest.fixture
def models(made):
    """A better model that errs on nearly the same images."""
    noise = np.random.default_rng(3).normal(0, 0.03, len(made.scores))
    better = np.clip(made.scores + noise + 0.1 * (made.labels == 1), 0, 1)
    return {"plain": made.scores, "better": better}


def compared(models, made, baseline="plain", **settings):
    return fairness.compare(models, made.labels, [made.race, made.gender], baseline=baseline, **settings)


@pytest.mark.slow
def test_values_are_differences_of_evaluations(models, made):
    difference = compared(models, made).differences["better"]
    first, second = (
        fairness.evaluate(models[name], made.labels, [made.race, made.gender]) for name in ("better", "plain")
    )
    assert difference.fpr.value == pytest.approx(first.fpr.value - second.fpr.value)
    assert difference.auroc.value == pytest.approx(first.auroc.value - second.auroc.value)
    assert difference.accuracy.value == pytest.approx(first.accuracy.value - second.accuracy.value)
    assert difference.tpr["at_0.5"].value == pytest.approx(first.tpr.value - second.tpr.value)
    assert difference.tpr["at_fpr"].value == pytest.approx(first.tpr_at_fpr.value - second.tpr_at_fpr.value)
    for attribute in first.groups:
        for point, measure in zip(POINTS, ("tpr", "tpr_at_fpr"), strict=True):
            for group, numbers in first.groups[attribute].items():
                expected = (
                    getattr(numbers, measure).value - getattr(second.groups[attribute][group], measure).value
                )
                assert difference.groups[attribute][group][point].value == pytest.approx(expected)
            for name in ("gap", "variance"):
                a, b = (getattr(e, name)[attribute][point].value for e in (first, second))
                assert getattr(difference, name)[attribute][point].value == pytest.approx(a - b)
            a, b = (e.worst_group[attribute][point]["tpr"].value for e in (first, second))
            assert difference.worst_group[attribute][point].value == pytest.approx(a - b)


@pytest.mark.slow
def test_swapping_the_models_flips_the_sign(models, made):
    forth = compared(models, made).differences["better"]
    back = compared(models, made, baseline="better").differences["plain"]
    for point in POINTS:
        for a, b in [
            (forth.tpr[point], back.tpr[point]),
            (forth.groups["race"]["c"][point], back.groups["race"]["c"][point]),
            (forth.worst_group["race"][point], back.worst_group["race"][point]),
        ]:
            assert a.value == pytest.approx(-b.value)
            assert (a.low, a.high) == pytest.approx((-b.high, -b.low), abs=0.03)


def test_paired_intervals_are_narrower_than_two_apart(models, made):
    difference = compared(models, made).differences["better"].tpr["at_0.5"]
    apart = [fairness.evaluate(models[m], made.labels).tpr for m in ("plain", "better")]
    width = np.hypot(*(rate.high - rate.low for rate in apart))
    assert difference.high - difference.low < 0.7 * width
    assert difference.low > 0


@pytest.mark.slow
def test_a_difference_does_not_depend_on_the_other_models(models, made):
    alone = compared(models, made).differences["better"]
    third = {**models, "third": np.full(len(made.scores), 0.5)}
    assert repr(asdict(compared(third, made).differences["better"])) == repr(asdict(alone))


def test_a_model_equals_itself_within_its_doubt(made):
    same = fairness.compare(
        {"a": made.scores, "b": made.scores}, made.labels, made.race, baseline="a"
    ).differences["b"]
    for point in POINTS:
        rate = same.tpr[point]
        assert rate.value == 0
        assert -0.02 < rate.low <= 0 <= rate.high < 0.02


@pytest.mark.parametrize("limits", [([0.5], [0.4]), ([0.3, 0.5, 0.5, 0.91], [0.2, 0.4, 0.8, 0.2])])
def test_images_that_one_model_alone_finds_equal_a_loop(limits):
    rng = np.random.default_rng(0)
    first, second = np.round(rng.random((2, 80)), 1)
    ids = rng.integers(0, 3, 80)
    points = tuple(Point(0.5, None, np.array(values)) for values in limits)
    pairs = pairs_found(first, second, ids, 4, points)
    for r, (a, b) in enumerate(zip(*limits, strict=True)):
        won = [int(((first > a) & (second <= b) & (ids == g)).sum()) for g in range(4)]
        lost = [int(((first <= a) & (second > b) & (ids == g)).sum()) for g in range(4)]
        assert (pairs.won[r].tolist(), pairs.lost[r].tolist()) == (won, lost)
    naive = [np.mean((first >= 0.5)[ids == g]) - np.mean((second >= 0.5)[ids == g]) for g in range(3)]
    assert pairs.values[:3] == pytest.approx(naive)


def test_thresholds_of_a_pair_lie_where_populations_put_them_and_move_together():
    """Of many samples, the number of negatives above the population's thresholds, and how the two go together."""
    rng = np.random.default_rng(0)
    luck = rng.normal(size=(3, 200))
    negatives = 1 / (1 + np.exp(-(luck[0] + 0.4 * luck[1:])))
    scored = [Scored.checked(values, np.zeros(200)) for values in negatives]
    pair = matched_pair(*scored, 0.1, rng)
    above = [
        (s.negatives[None] > point.limits[:, None]).sum(axis=1) for s, point in zip(scored, pair, strict=True)
    ]
    many = rng.normal(size=(3, 4000, 200))
    cut = 1.2816 * np.hypot(1, 0.4)
    truly = [(many[0] + 0.4 * many[i] >= cut).sum(axis=1) for i in (1, 2)]
    for ours, theirs in zip(above, truly, strict=True):
        assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=1)
        assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.15)
    # As far as told: less than they truly do makes intervals wider, not narrower.
    assert 0.2 < np.corrcoef(*above)[0, 1] < np.corrcoef(*truly)[0, 1] + 0.1


def test_the_paired_interval_is_a_little_wider_than_a_naive_bootstrap(models, made):
    found = fairness.compare(models, made.labels, baseline="plain", fpr=0.05)
    rng = np.random.default_rng(0)
    positives = [models[m][made.labels == 1] for m in ("better", "plain")]
    negatives = [models[m][made.labels == 0] for m in ("better", "plain")]
    naive = np.empty((1500, 2))
    for row in naive:
        p, n = (rng.integers(0, len(x[0]), len(x[0])) for x in (positives, negatives))
        rates = [
            (np.mean(x[p] >= 0.5), np.mean(x[p] >= fairness.threshold_at_fpr(y[n], 0.05)))
            for x, y in zip(positives, negatives, strict=True)
        ]
        row[:] = np.subtract(*rates)
    for i, point in enumerate(POINTS):
        rate = found.differences["better"].tpr[point]
        low, high = np.percentile(naive[:, i], [2.5, 97.5])
        assert (rate.low, rate.high) == pytest.approx((low, high), abs=0.02)


@pytest.mark.parametrize(
    ("found", "lost", "told"), [(3, 0, False), (5, 0, False), (6, 0, True), (9, 3, False)]
)
def test_the_report_says_covers_0_where_mcnemars_exact_test_does(found, lost, told):
    labels = np.r_[np.ones(60), np.zeros(60)]
    plain = np.r_[np.full(found, 0.2), np.full(60 - found, 0.9), np.full(60, 0.1)]
    other = np.r_[np.full(60 - lost, 0.9), np.full(lost, 0.2), np.full(60, 0.1)]
    groups = Groups(np.zeros(120, np.int64), ("a",), "race")
    difference = fairness.compare(
        {"plain": plain, "new": other}, labels, groups, baseline="plain"
    ).differences["new"]
    for rate in (difference.tpr["at_0.5"], difference.groups["race"]["a"]["at_0.5"]):
        assert (rate.low > 0) == told
    assert (difference.accuracy.low > 0) == told


@pytest.mark.slow
def test_areas_and_accuracies_have_the_intervals_of_a_naive_bootstrap(models, made):
    found = compared(models, made).differences["better"]
    rng, drawn = np.random.default_rng(0), []
    sides = [np.flatnonzero(made.labels == side) for side in (0, 1)]
    for _ in range(400):
        rows = np.concatenate([rng.choice(side, len(side)) for side in sides])
        labels = made.labels[rows]
        both = []
        for name in ("better", "plain"):
            scores = models[name][rows]
            above = scores[labels == 1][:, None] - scores[labels == 0]
            both.append(((above > 0).mean() + (above == 0).mean() / 2, ((scores >= 0.5) == labels).mean()))
        drawn.append(np.subtract(*both))
    for i, rate in enumerate((found.auroc, found.accuracy)):
        low, high = np.percentile(np.array(drawn)[:, i], [2.5, 97.5])
        assert rate.low == pytest.approx(low, abs=0.25 * (high - low))
        assert rate.high == pytest.approx(high, abs=0.25 * (high - low))


def test_two_models_without_errors_are_not_equal_beyond_doubt():
    labels = np.repeat([0, 1], 20)
    scores = labels * 0.8 + 0.1
    found = fairness.compare({"a": scores, "b": scores / 2 + 0.25}, labels, baseline="a").differences["b"]
    for rate in (found.auroc, found.accuracy):
        assert rate.value == 0
        assert -0.2 < rate.low < -0.01
        assert 0.01 < rate.high < 0.2


@pytest.mark.slow
def test_differences_cover():
    rng = np.random.default_rng(11)
    groups = Groups(np.arange(900) % 3, ("a", "b", "c"))
    chances = np.array([[0.95, 0.9, 0.75], [0.96, 0.93, 0.85]])
    covered = np.zeros(3)
    for run in range(100):
        luck = rng.random(900)
        plain, better = ((luck < chances[i][groups.ids]) * 0.8 + 0.1 for i in range(2))
        found = fairness.compare(
            {"plain": plain, "better": better},
            np.ones(900),
            groups,
            baseline="plain",
            replicates=300,
            seed=run,
        ).differences["better"]
        truth = 0.1, -0.09, np.var(100 * chances[1]) - np.var(100 * chances[0])
        rates = (
            found.worst_group["group"]["at_0.5"],
            found.gap["group"]["at_0.5"],
            found.variance["group"]["at_0.5"],
        )
        covered += [r.low <= t <= r.high for r, t in zip(rates, truth, strict=True)]
    assert (covered >= 85).all()


def test_undefined_stays_undefined(made):
    labels = np.r_[np.ones(4), np.zeros(0)]
    groups = Groups(np.array([0, 0, 0, 0]), ("a", "b"), "race")
    models = {"x": [0.9, 0.8, 0.2, 0.6], "y": [0.9, 0.8, 0.7, 0.6]}
    found = fairness.compare(models, labels, groups, baseline="x")
    difference = found.differences["y"]
    assert found.not_compared == {"race": ("b",)}
    assert difference.tpr["at_0.5"].value == 0.25
    assert difference.fpr.reason == difference.tpr["at_fpr"].reason == "no negatives"
    assert difference.groups["race"]["b"]["at_0.5"].reason == "no positives"
    assert difference.gap["race"]["at_0.5"].reason == "fewer than two groups have positives"
    assert difference.worst_group["race"]["at_0.5"].value == 0.25


@pytest.mark.parametrize(("names", "baseline"), [(("a", "b"), "c"), (("a",), "a")])
def test_the_baseline_must_be_there_and_have_company(made, names, baseline):
    with pytest.raises(InputError, match="needs the baseline and at least one other"):
        fairness.compare(dict.fromkeys(names, made.scores), made.labels, baseline=baseline)
