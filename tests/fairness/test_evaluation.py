import dataclasses
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest

from equipoise import Groups, fairness
from equipoise.errors import InputError, UndefinedRateWarning
from equipoise.fairness.cells import training_signs
from equipoise.fairness.operating import negatives_needed

POINTS = ("at_0.5", "at_fpr")


def evaluated(scene, **settings):
    return fairness.evaluate(scene.scores, scene.labels, [scene.race, scene.gender], **settings)


def flat(value, path=""):
    """All numbers of an evaluation by their path."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in flat(item, f"{path}/{key}").items()}
    return {path: value}


def test_totals_equal_the_definitions(made):
    found = evaluated(made, fpr=0.05)
    positive = made.labels == 1
    right = (made.scores >= 0.5) == positive
    assert found.tpr.value == pytest.approx(right[positive].mean())
    assert found.fpr.value == pytest.approx(1 - right[~positive].mean())
    assert found.accuracy.value == pytest.approx(right.mean())
    assert found.threshold_at_fpr == fairness.threshold_at_fpr(made.scores[~positive], 0.05)
    assert found.tpr_at_fpr.value == pytest.approx((made.scores[positive] >= found.threshold_at_fpr).mean())
    assert found.fpr_achieved.value == pytest.approx(
        (made.scores[~positive] >= found.threshold_at_fpr).mean()
    )
    assert found.fpr_achieved.value <= 0.05
    assert (found.n, found.positives, found.negatives) == (1100, 600, 500)


def test_groups_equal_the_definitions(made):
    found = evaluated(made)
    threshold = found.threshold_at_fpr
    assert set(found.groups) == {"race", "gender", "race × gender"}
    assert list(found.groups["race"]) == ["a", "b", "c"]
    crossed = made.race.cross(made.gender)
    for groups in (made.race, made.gender, crossed):
        table = found.groups[groups.attribute]
        rates = {}
        for name, numbers in table.items():
            mine = made.scores[groups.ids == groups.names.index(name)]
            assert numbers.n == numbers.tpr.n == len(mine)
            assert numbers.small == (len(mine) < 30)
            assert numbers.tpr.value == pytest.approx((mine >= 0.5).mean())
            assert numbers.fnr.value == pytest.approx((mine < 0.5).mean())
            assert numbers.tpr_at_fpr.value == pytest.approx((mine >= threshold).mean())
            assert numbers.fpr.reason == "no negatives"
            rates[name] = numbers.tpr_at_fpr.value
        worst = found.worst_group[groups.attribute]["at_fpr"]
        assert worst["group"] == min(rates, key=rates.get)
        assert worst["tpr"].value == pytest.approx(min(rates.values()))
        gap = found.gap[groups.attribute]["at_fpr"].value
        assert gap == pytest.approx(max(rates.values()) - min(rates.values()))
        variance = found.variance[groups.attribute]["at_fpr"].value
        assert variance == pytest.approx(np.var([100 * r for r in rates.values()]))


def test_every_defined_number_lies_in_its_interval(made):
    everything = flat(evaluated(made))
    lows = [p for p in everything if p.endswith("/low") and not math.isnan(everything[p])]
    assert len(lows) > 60
    for path in lows:
        value, high = everything[path[:-3] + "value"], everything[path[:-3] + "high"]
        assert everything[path] <= value <= high, path


def test_one_attribute_equals_the_same_attribute_among_others(made):
    alone = fairness.evaluate(made.scores, made.labels, made.race)
    assert numbers(alone.groups["race"]["a"]) == numbers(evaluated(made).groups["race"]["a"])
    assert alone.gap["race"] == evaluated(made).gap["race"]
    assert set(alone.groups) == {"race"}
    assert set(evaluated(made, intersections=False).groups) == {"race", "gender"}


def numbers(value):
    """As texts, with the last bits of sums rounded away: a NaN equals a NaN."""
    return {k: f"{v:.12g}" if isinstance(v, float) else repr(v) for k, v in flat(value).items()}


def test_the_order_of_images_changes_nothing(made):
    order = np.random.default_rng(1).permutation(len(made.scores))
    assert numbers(evaluated(made)) == numbers(evaluated(made.permuted(order)))


def test_the_seed_decides_the_intervals_of_variances_and_only_these(made):
    first, again, other = evaluated(made), evaluated(made), evaluated(made, seed=1)
    assert numbers(first) == numbers(again)
    assert (first.tpr, first.gap, first.worst_group) == (other.tpr, other.gap, other.worst_group)
    assert first.variance["race"]["at_0.5"].value == other.variance["race"]["at_0.5"].value
    assert first.variance["race"]["at_0.5"].low != other.variance["race"]["at_0.5"].low


def test_merging_groups_adds_counts(made):
    merged = Groups.from_column(
        [{"a": "ab", "b": "ab", "c": "c"}.get(made.race.names[i]) for i in made.race.ids], attribute="race"
    )
    split = fairness.evaluate(made.scores, made.labels, made.race).groups["race"]
    whole = fairness.evaluate(made.scores, made.labels, merged).groups["race"]
    for measure in ("tpr", "tpr_at_fpr"):
        a, b, ab = (getattr(x, measure) for x in (split["a"], split["b"], whole["ab"]))
        assert ab.n == a.n + b.n
        assert ab.value * ab.n == pytest.approx(a.value * a.n + b.value * b.n)
    assert whole["c"].tpr.value == split["c"].tpr.value


def test_worse_scores_of_one_group_make_it_the_worst(made):
    scores = made.scores.copy()
    mine = made.race.ids == made.race.names.index("b")
    scores[mine] *= 0.4
    found = fairness.evaluate(scores, made.labels, made.race)
    assert found.worst_group["race"]["at_0.5"]["group"] == "b"
    assert found.gap["race"]["at_0.5"].low > 0.3


def test_the_threshold_moves_with_the_negatives_in_the_interval():
    """With few negatives the matched rate is more in doubt than the same rate at a fixed threshold."""
    rng = np.random.default_rng(0)
    scores = np.r_[rng.beta(4, 2, 4000), rng.beta(2, 4, 60)]
    labels = np.r_[np.ones(4000), np.zeros(60)]
    matched = fairness.evaluate(scores, labels, fpr=0.1)
    fixed = fairness.evaluate(scores, labels, threshold=matched.threshold_at_fpr)
    assert matched.tpr_at_fpr.value == fixed.tpr.value
    matched, fixed = matched.tpr_at_fpr, fixed.tpr
    assert matched.high - matched.low > 3 * (fixed.high - fixed.low)


def test_the_matched_interval_is_a_little_wider_than_a_naive_bootstrap():
    rng = np.random.default_rng(0)
    positives, negatives = rng.beta(4, 2, 500), rng.beta(2, 4, 300)
    found = fairness.evaluate(np.r_[positives, negatives], np.r_[np.ones(500), np.zeros(300)], fpr=0.05)
    naive = []
    for _ in range(2000):
        threshold = fairness.threshold_at_fpr(rng.choice(negatives, 300), 0.05)
        naive.append(np.mean(rng.choice(positives, 500) >= threshold))
    low, high = np.percentile(naive, [2.5, 97.5])
    assert (found.tpr_at_fpr.low, found.tpr_at_fpr.high) == pytest.approx((low, high), abs=0.03)
    assert found.tpr_at_fpr.low < low


@pytest.mark.slow
@pytest.mark.parametrize(("negatives", "fpr"), [(100, 0.01), (100, 0.05), (400, 0.05)])
def test_matched_intervals_hold_the_truth_also_with_few_negatives(negatives, fpr):
    """Truth: the TPR at the threshold that has the FPR in the population."""
    rng = np.random.default_rng(5)
    many = rng.beta(4, 2, 400_000), rng.beta(2, 4, 400_000)
    truth = np.mean(many[0] >= np.quantile(many[1], 1 - fpr))
    held, reached = 0, 0
    for run in range(100):
        scores = np.r_[rng.beta(4, 2, 200), rng.beta(2, 4, negatives)]
        labels = np.r_[np.ones(200), np.zeros(negatives)]
        found = fairness.evaluate(scores, labels, fpr=fpr, replicates=100, seed=run)
        held += found.tpr_at_fpr.low <= truth <= found.tpr_at_fpr.high
        true_rate = np.mean(many[1] >= found.threshold_at_fpr)
        reached += found.fpr_achieved.low <= true_rate <= found.fpr_achieved.high
    assert held >= 91
    assert reached >= 91


def test_with_too_few_negatives_for_a_rate_the_share_found_has_no_lower_limit():
    needed = negatives_needed(0.05)
    assert needed == 61
    rng = np.random.default_rng(6)
    for negatives, told in ((needed // 2, False), (2 * needed, True)):
        scores = np.r_[np.full(200, 0.99), rng.beta(2, 4, negatives)]
        labels = np.r_[np.ones(200), np.zeros(negatives)]
        found = fairness.evaluate(scores, labels, fpr=0.05).tpr_at_fpr
        assert found.value == 1
        assert (found.low > 0) == told


# What is undefined


def test_a_group_without_positives_is_undefined_and_said_once():
    labels = np.r_[np.ones(40), np.zeros(40)]
    groups = Groups.from_column(["a"] * 20 + ["b"] * 20 + ["c"] * 40, attribute="race")
    with pytest.warns(UndefinedRateWarning, match=r"c \(race\)") as caught:
        found = fairness.evaluate(np.linspace(1, 0, 80), labels, groups)
    assert len(caught) == 1
    assert "c (race)" in str(caught[0].message)
    assert caught[0].filename == __file__
    numbers = found.groups["race"]["c"]
    for rate in (numbers.tpr, numbers.tpr_at_fpr, numbers.auroc, numbers.mean_probability):
        assert rate.reason == "no positives"
    assert numbers.n == 40
    assert numbers.small
    assert found.not_compared["race"] == ("c",)
    assert found.worst_group["race"]["at_0.5"]["group"] in ("a", "b")


def test_missing_groups_of_negatives_are_not_shown_and_no_warning(made):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluated(made)
    assert all("(missing)" not in name for table in found.groups.values() for name in table)
    assert found.not_compared == {"race": (), "gender": (), "race × gender": ()}


def test_missing_groups_with_positives_are_shown():
    groups = Groups.from_column([None, "a", "a", None], attribute="race")
    found = fairness.evaluate([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], groups)
    assert set(found.groups["race"]) == {"(missing)", "a"}


@pytest.mark.parametrize("value", ["(missing)", "iris (missing)", "(missing) × b"])
def test_a_value_that_reads_missing_is_a_group_like_any_other(value):
    groups = Groups.from_column([value, "a", "a", None], attribute="eye")
    name = groups.names[groups.ids[0]]
    with pytest.warns(UndefinedRateWarning, match="missing"):  # without positives: undefined, and shown
        found = fairness.evaluate([0.9, 0.8, 0.2, 0.1], [0, 1, 1, 0], groups)
    assert set(found.groups["eye"]) == {name, "a"}
    assert training_signs([0, 1, 1], groups.take([0, 1, 2])) == {name: -1, "a": 1}
    with pytest.raises(InputError, match="1 rows without one"):
        training_signs([0, 1, 1, 0], groups)


def test_an_emptied_group_stays_visible():
    groups = Groups(np.zeros(4, int), ("a", "gone"))
    with pytest.warns(UndefinedRateWarning, match="gone"):
        found = fairness.evaluate([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], groups)
    assert found.groups["group"]["gone"].n == 0
    assert found.groups["group"]["gone"].accuracy.reason == "no images"


def test_no_negatives():
    groups = Groups.from_column(["a", "a", "b"], attribute="race")
    found = fairness.evaluate([0.9, 0.2, 0.8], [1, 1, 1], groups)
    for rate in (found.fpr, found.tpr_at_fpr, found.auroc, found.fpr_achieved):
        assert rate.reason == "no negatives"
    assert math.isnan(found.threshold_at_fpr)
    assert found.tpr.value == pytest.approx(2 / 3)
    assert found.groups["race"]["a"].tpr.value == 0.5
    assert found.groups["race"]["a"].tpr_at_fpr.reason == "no negatives"
    assert found.gap["race"]["at_0.5"].value == 0.5
    assert found.gap["race"]["at_fpr"].reason == "no negatives"
    assert found.worst_group["race"]["at_fpr"]["group"] is None


def test_no_positives():
    groups = Groups.from_column(["a", "a", "b"], attribute="race")
    with pytest.warns(UndefinedRateWarning, match="none at all"):
        found = fairness.evaluate([0.9, 0.2, 0.8], [0, 0, 0], groups)
    for rate in (found.tpr, found.tpr_at_fpr, found.auroc, found.mean_probability):
        assert rate.reason == "no positives"
    assert found.fpr.value == found.fpr.value
    assert found.accuracy.value == pytest.approx(1 / 3)
    assert found.gap["race"]["at_0.5"].reason == "no positives"


def test_few_negatives_say_what_was_reached():
    scores = np.r_[np.linspace(0.3, 1, 40), np.linspace(0, 0.6, 50)]
    found = fairness.evaluate(scores, np.r_[np.ones(40), np.zeros(50)], fpr=0.01)
    assert found.fpr_achieved.value == 0
    assert found.fpr_achieved.high > 0.05
    assert found.fpr_asked == 0.01


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fpr": 1.5}, "false-positive rate must be in"),
        ({"threshold": math.nan}, "threshold must be a finite number"),
        ({"replicates": 10}, "at least 100 replicates; got 10"),
        ({"negatives": "mine"}, "'mine'"),
    ],
)
def test_settings_are_checked(made, settings, words):
    with pytest.raises(InputError, match=words):
        evaluated(made, **settings)


def test_attributes_must_differ(made):
    with pytest.raises(InputError, match="Attributes must differ"):
        fairness.evaluate(made.scores, made.labels, [made.race, made.race])


# The control that moves only the threshold


def test_threshold_only_matches_the_false_positives_of_the_other(made, make):
    other = np.minimum(1, made.scores + 0.1)
    control = fairness.threshold_only(made.scores, made.labels, made.race, like=other)
    trigger_happy = fairness.evaluate(other, made.labels, made.race)
    assert control.fpr.value <= trigger_happy.fpr.value
    assert control.threshold < 0.5
    assert control.tpr.value > fairness.evaluate(made.scores, made.labels).tpr.value
    same = fairness.evaluate(made.scores, made.labels, made.race)
    assert control.tpr_at_fpr.value == same.tpr_at_fpr.value
    assert control.auroc.value == same.auroc.value


def test_a_model_that_only_moved_its_threshold_gains_nothing_over_the_control(made):
    other = np.sqrt(made.scores)
    control = fairness.threshold_only(made.scores, made.labels, made.race, like=other)
    moved = fairness.evaluate(other, made.labels, made.race)
    assert control.tpr.value == moved.tpr.value
    assert control.fpr.value == moved.fpr.value


def test_threshold_only_can_end_beyond_the_highest_score():
    scores, labels = np.array([1.0, 0.9, 1.0, 0.2]), np.array([1, 1, 0, 0])
    control = fairness.threshold_only(scores, labels, like=np.zeros(4))
    assert control.fpr.value == 0
    assert control.tpr.value == 0


def test_threshold_only_needs_negatives():
    with pytest.raises(InputError, match="needs negatives"):
        fairness.threshold_only([0.5, 0.6], [1, 1], like=[0.5, 0.5])


def test_the_room_needs_no_torch():
    code = "import sys, equipoise.fairness; sys.exit(bool({'torch', 'scipy.stats', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
