"""Two models of many classes on the same images."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import binomtest

from equipoise import Groups, fairness
from equipoise.errors import InputError, UndefinedRateWarning
from equipoise.fairness import compare_classes, evaluate_classes, from_logits, one_vs_rest

NAMES = ("ant", "bee", "cow")


def drawn(seed=0, n=500, better=0.15):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    plain = np.where(rng.random(n) < 0.6, labels, rng.integers(0, 3, n))
    other = np.where(rng.random(n) < better, labels, plain)
    sites = Groups.from_column(rng.choice(["a", "b", None], n, p=[0.6, 0.3, 0.1]), attribute="site")
    sexes = Groups.from_column(rng.choice(["f", "m"], n), attribute="sex")
    return labels, {"plain": plain, "other": other}, [sites, sexes]


def test_differences_are_those_of_the_two_evaluations():
    labels, calls, groups = drawn()
    found = compare_classes(calls, labels, groups, classes=NAMES, baseline="plain")
    one, base = (
        evaluate_classes(calls[model], labels, groups, classes=NAMES) for model in ("other", "plain")
    )
    difference = found.differences["other"]
    assert (found.baseline, found.classes, list(found.differences)) == ("plain", NAMES, ["other"])
    assert found.not_compared == one.not_compared

    def moved(rate, first, second):
        assert rate.value == pytest.approx(first.value - second.value)
        assert rate.low <= rate.value <= rate.high

    moved(difference.accuracy, one.accuracy, base.accuracy)
    moved(difference.balanced_accuracy, one.balanced_accuracy, base.balanced_accuracy)
    moved(difference.worst_class, one.worst_class["recall"], base.worst_class["recall"])
    for name in NAMES:
        moved(difference.recall[name], one.recall[name], base.recall[name])
    for attribute in one.groups:
        moved(difference.gap[attribute], one.gap[attribute], base.gap[attribute])
        first, second = one.worst_group[attribute], base.worst_group[attribute]
        moved(difference.worst_group[attribute], first["accuracy"], second["accuracy"])
        first, second = one.worst_cell[attribute], base.worst_cell[attribute]
        moved(difference.worst_cell[attribute], first["recall"], second["recall"])
        assert difference.groups[attribute].keys() == one.groups[attribute].keys()
        for group, numbers in one.groups[attribute].items():
            moved(
                difference.groups[attribute][group], numbers.accuracy, base.groups[attribute][group].accuracy
            )
            for name, rate in numbers.cells.items():
                moved(
                    difference.cells[attribute][group][name],
                    rate,
                    base.groups[attribute][group].cells[name],
                )


def test_intervals_decide_as_the_exact_mcnemar_test():
    labels, calls, groups = drawn(n=300, better=0.1)
    difference = compare_classes(calls, labels, groups, classes=NAMES, baseline="plain").differences["other"]
    right = {model: calls[model] == labels for model in calls}
    for mine, rate in (
        (np.ones(300, bool), difference.accuracy),
        (labels == 1, difference.recall["bee"]),
        (groups[0].ids == groups[0].names.index("b"), difference.groups["site"]["b"]),
        ((labels == 2) & (groups[1].ids == 1), difference.cells["sex"]["m"]["cow"]),
    ):
        won = int((right["other"] & ~right["plain"] & mine).sum())
        lost = int((right["plain"] & ~right["other"] & mine).sum())
        told = won + lost > 0 and binomtest(won, won + lost).pvalue < 0.05
        assert (rate.low > 0 or rate.high < 0) == told
        assert rate.n == mine.sum()


def test_a_model_equals_itself():
    labels, calls, groups = drawn()
    calls["again"] = calls["plain"]
    found = compare_classes(calls, labels, groups, classes=NAMES, baseline="plain").differences["again"]
    for rate in (found.accuracy, found.balanced_accuracy, found.worst_class, *found.gap.values()):
        assert rate.value == 0
        assert rate.low <= 0 <= rate.high


def test_turning_the_models_round_turns_the_signs():
    labels, calls, groups = drawn()
    one = compare_classes(calls, labels, groups, classes=NAMES, baseline="plain").differences["other"]
    other = compare_classes(calls, labels, groups, classes=NAMES, baseline="other").differences["plain"]
    for first, second in (
        (one.accuracy, other.accuracy),
        (one.balanced_accuracy, other.balanced_accuracy),
        (one.worst_cell["site"], other.worst_cell["site"]),
        (one.cells["site"]["a"]["ant"], other.cells["site"]["a"]["ant"]),
    ):
        assert (first.value, first.low, first.high) == pytest.approx(
            (-second.value, -second.high, -second.low)
        )


def test_a_difference_does_not_depend_on_the_other_models():
    labels, calls, groups = drawn()
    more = calls | {"third": labels}
    one, other = (
        compare_classes(some, labels, groups, classes=NAMES, baseline="plain").differences["other"]
        for some in (calls, more)
    )
    assert one == other


def test_two_classes_agree_with_compare():
    rng = np.random.default_rng(3)
    labels = np.repeat([1, 0], [200, 100])
    scores = {name: np.clip(rng.normal(0.3 + 0.4 * labels, 0.2), 0, 1) for name in ("plain", "other")}
    race = Groups.from_column([*rng.choice(["a", "b"], 200).tolist(), *[None] * 100], attribute="race")
    old = fairness.compare(scores, labels, race, baseline="plain", replicates=100).differences["other"]
    calls = {name: values >= 0.5 for name, values in scores.items()}
    found = compare_classes(calls, labels, race, classes=["no", "yes"], baseline="plain").differences["other"]
    assert found.accuracy == old.accuracy
    assert found.recall["yes"] == old.tpr["at_0.5"]
    assert found.worst_cell["race"] == old.worst_group["race"]["at_0.5"]
    assert found.gap["race"] == old.gap["race"]["at_0.5"]
    assert found.groups["race"]["a"] == old.groups["race"]["a"]["at_0.5"]


def test_without_known_groups_and_without_images():
    groups = Groups.from_column([None, None], attribute="site")
    found = compare_classes(
        {"a": [0, 0], "b": [0, 1]}, [0, 0], groups, classes=["x", "y"], baseline="a"
    ).differences["b"]
    assert found.worst_cell["site"].reason == "no images of a known group"
    assert found.recall["y"].reason == "no images"
    assert found.balanced_accuracy.value == -0.5


def test_models_without_a_baseline_are_refused():
    with pytest.raises(InputError, match="baseline 'c' and models"):
        compare_classes({"a": [0], "b": [1]}, [0], classes=["x", "y"], baseline="c")
    with pytest.raises(InputError, match="at least one other model"):
        compare_classes({"a": [0]}, [0], classes=["x", "y"], baseline="a")
    with pytest.raises(InputError, match="1 scores and 2 labels"):
        compare_classes({"a": [0, 0], "b": [1]}, [0, 1], classes=["x", "y"], baseline="a")


# --- one class against the rest ---


def test_one_vs_rest_is_evaluate_of_its_column():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    logits = rng.normal(size=(300, 3)) + 2 * np.eye(3)[labels]
    site = Groups.from_column(rng.choice(["a", "b"], 300), attribute="site")
    kept = from_logits(logits)
    options = {"fpr": 0.1, "threshold": 0.4, "replicates": 100, "seed": 3}
    found = one_vs_rest(kept, labels, site, positive="bee", classes=NAMES, **options)
    assert repr(asdict(found)) == repr(
        asdict(fairness.evaluate(kept.of_class(1), labels == 1, site, **options))
    )
    assert found.logit_at_fpr is not None
    plain = one_vs_rest(np.asarray(kept), labels, site, positive="bee", classes=NAMES, **options)
    assert plain.tpr == found.tpr
    assert plain.auroc.value == pytest.approx(found.auroc.value)


def test_one_vs_rest_of_two_classes_takes_a_vector():
    labels = np.arange(100) % 2
    scores = from_logits(np.random.default_rng(0).normal(2 * labels - 1, 1))
    options = {"classes": ["no", "yes"], "replicates": 100}
    found = one_vs_rest(scores, labels, positive="yes", **options)
    assert repr(asdict(found)) == repr(asdict(fairness.evaluate(scores, labels, replicates=100)))
    turned = one_vs_rest(scores, labels, positive="no", **options)
    assert turned.auroc.value == pytest.approx(found.auroc.value)
    assert turned.tpr.value == pytest.approx(1 - found.fpr.value)
    matrix = np.stack([1 - np.asarray(scores), np.asarray(scores)], axis=1)
    assert one_vs_rest(matrix, labels, positive="no", **options).tpr == turned.tpr


def test_one_vs_rest_refuses_what_does_not_fit():
    with pytest.raises(InputError, match="one of ant, bee, cow; got 'doe'"):
        one_vs_rest(np.ones((2, 3)) / 3, [0, 1], positive="doe", classes=NAMES)
    with pytest.raises(InputError, match="a column for each of the 3 classes"):
        one_vs_rest(np.ones(2), [0, 1], positive="ant", classes=NAMES)
    with pytest.raises(InputError, match="probabilities in"):
        one_vs_rest(np.full((2, 3), 2.0), [0, 1], positive="ant", classes=NAMES)
    with pytest.raises(InputError, match="got 3 at row 1"):
        one_vs_rest(np.ones((2, 3)) / 3, [0, 3], positive="ant", classes=NAMES)
    with pytest.warns(UndefinedRateWarning):
        assert not one_vs_rest(np.ones((2, 3)) / 3, [0, 1], positive="cow", classes=NAMES).tpr.defined
