"""Numbers of many classes: against the definitions, scikit-learn, fairlearn and torchmetrics, and by identities."""

import math
import warnings

import numpy as np
import pytest
import torch
from fairlearn.metrics import MetricFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_score,
    recall_score,
)
from torchmetrics.classification import MulticlassAccuracy, MulticlassRecall

from equipoise import Groups, fairness
from equipoise.errors import InputError, UndefinedRateWarning
from equipoise.fairness import evaluate_classes, from_logits
from equipoise.intervals import Proportions, macro_average, worst

NAMES = ("ant", "bee", "cow", "doe")


def drawn(seed=0, n=600, k=4, wrong=0.3):
    """Labels, calls and two attributes, of which one lacks values."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(k, n, p=np.r_[0.55, np.full(k - 1, 0.45 / (k - 1))])
    calls = np.where(rng.random(n) < wrong, rng.integers(0, k, n), labels)
    site = rng.choice(["north", "south", "", "west"], n, p=[0.5, 0.3, 0.1, 0.1])
    sites = Groups.from_column([value or None for value in site], attribute="site")
    return labels, calls, sites, Groups.from_column(rng.choice(["f", "m"], n).tolist(), attribute="sex")


def test_totals_are_those_of_scikit_learn_and_torchmetrics():
    labels, calls, *_ = drawn()
    found = evaluate_classes(calls, labels, classes=NAMES)
    assert found.accuracy.value == pytest.approx(accuracy_score(labels, calls))
    assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(labels, calls))
    assert [rate.value for rate in found.recall.values()] == pytest.approx(
        recall_score(labels, calls, average=None)
    )
    assert [rate.value for rate in found.precision.values()] == pytest.approx(
        precision_score(labels, calls, average=None)
    )
    both = torch.tensor(calls), torch.tensor(labels)
    assert found.accuracy.value == pytest.approx(MulticlassAccuracy(4, average="micro")(*both).item())
    assert found.balanced_accuracy.value == pytest.approx(MulticlassRecall(4, average="macro")(*both).item())
    assert found.worst_class["recall"].value == min(rate.value for rate in found.recall.values())
    assert found.recall[found.worst_class["class"]].value == found.worst_class["recall"].value
    assert [rate.n for rate in found.recall.values()] == np.bincount(labels).tolist()
    assert (found.n, found.classes, found.ties) == (600, NAMES, 0)


def test_confusion_is_that_of_scikit_learn():
    labels, calls, *_ = drawn()
    table = confusion_matrix(labels, calls)
    found = evaluate_classes(calls, labels, classes=NAMES).confusion
    for i, name in enumerate(NAMES):
        taken = {NAMES[j]: int(table[i, j]) for j in range(4) if j != i and table[i, j]}
        assert found[name] == {"taken_for": taken, "other": 0}
        assert list(found[name]["taken_for"].values()) == sorted(taken.values(), reverse=True)


def test_confusion_names_the_five_most_frequent_and_counts_the_rest():
    calls = np.repeat(np.arange(9), [10, 1, 7, 2, 3, 3, 9, 5, 1])
    with pytest.warns(UndefinedRateWarning):
        found = evaluate_classes(calls, np.zeros(41, int), classes=[*"abcdefgh", "other", *"jklm"]).confusion
    assert found == {"a": {"taken_for": {"g": 9, "c": 7, "h": 5, "e": 3, "f": 3}, "other": 4}}
    assert list(found["a"]["taken_for"]) == ["g", "c", "h", "e", "f"]


def test_confusion_of_up_to_twelve_classes_names_all():
    calls = np.repeat(np.arange(12), np.arange(1, 13))
    with pytest.warns(UndefinedRateWarning):
        found = evaluate_classes(calls, np.zeros(78, int), classes=[*"abcdefghijkl"]).confusion
    assert found == {"a": {"taken_for": {x: i for i, x in enumerate("abcdefghijkl", 1) if i > 1}, "other": 0}}


def test_groups_are_those_of_fairlearn():
    labels, calls, sites, sexes = drawn()
    found = evaluate_classes(calls, labels, [sites, sexes], classes=NAMES)
    assert list(found.groups) == ["site", "sex", "site × sex"]
    for groups in (sites, sexes, sites.cross(sexes)):
        named = np.array(groups.names)[groups.ids]
        frame = MetricFrame(
            metrics=accuracy_score, y_true=labels, y_pred=calls, sensitive_features=named
        ).by_group
        table = found.groups[groups.attribute]
        assert {name: numbers.accuracy.value for name, numbers in table.items()} == pytest.approx(
            frame.to_dict()
        )
        known = {name: value for name, value in frame.to_dict().items() if "(missing)" not in name}
        assert found.worst_group[groups.attribute]["group"] == min(known, key=known.get)
        assert found.gap[groups.attribute].value == pytest.approx(max(known.values()) - min(known.values()))


def test_cells_equal_the_definitions():
    labels, calls, sites, _ = drawn()
    found = evaluate_classes(calls, labels, sites, classes=NAMES)
    cells = {}
    for g, group in enumerate(sites.names):
        numbers = found.groups["site"][group]
        assert numbers.n == (sites.ids == g).sum()
        for i, name in enumerate(NAMES):
            mine = (labels == i) & (sites.ids == g)
            assert numbers.cells[name].n == mine.sum()
            assert numbers.cells[name].value == pytest.approx((calls[mine] == i).mean())
            if group != "(missing)":
                cells[name, group] = numbers.cells[name]
    lowest = found.worst_cell["site"]
    assert lowest["recall"].value == min(rate.value for rate in cells.values())
    assert cells[lowest["class"], lowest["group"]].value == lowest["recall"].value
    shares = Proportions(
        np.array([rate.value * rate.n for rate in cells.values()]).round(),
        np.array([rate.n for rate in cells.values()]),
    )
    assert (lowest["recall"].low, lowest["recall"].high) == pytest.approx(
        (worst(shares)[1].low, worst(shares)[1].high)
    )
    assert found.not_compared["site"] == ("(missing)",)


def test_failing_cells_come_worst_first_with_what_they_are_taken_for():
    labels, calls, sites, _ = drawn()
    failing = evaluate_classes(calls, labels, sites, classes=NAMES).failing["site"]
    wrong = (calls != labels) & sites.known
    assert len(failing) == len(set(zip(labels[wrong], sites.ids[wrong], strict=True))) == 11
    order = [(cell["recall"].value, -cell["recall"].n) for cell in failing]
    assert order == sorted(order)
    for cell in failing:
        mine = (labels == NAMES.index(cell["class"])) & (sites.ids == sites.names.index(cell["group"]))
        told = sum(cell["mistakes"]["taken_for"].values()) + cell["mistakes"]["other"]
        assert told == (calls[mine] != labels[mine]).sum()
        for name, count in cell["mistakes"]["taken_for"].items():
            assert count == (calls[mine] == NAMES.index(name)).sum()


def test_rows_without_a_value_are_shown_and_never_worst():
    groups = Groups.from_column(["a", "a", "b", "b", None, None], attribute="site")
    found = evaluate_classes([0, 1, 0, 0, 1, 0], [0, 1, 0, 1, 0, 1], groups, classes=["x", "y"])
    assert found.groups["site"]["(missing)"].accuracy.value == 0
    assert found.worst_group["site"]["group"] == "b"
    assert (found.worst_cell["site"]["class"], found.worst_cell["site"]["group"]) == ("y", "b")
    assert found.gap["site"].value == 0.5
    assert {cell["group"] for cell in found.failing["site"]} == {"b"}


def test_without_known_groups_nothing_is_compared():
    groups = Groups.from_column([None, None, None], attribute="site")
    found = evaluate_classes([0, 1, 1], [0, 1, 0], groups, classes=["x", "y"])
    for rate in (
        found.gap["site"],
        found.worst_group["site"]["accuracy"],
        found.worst_cell["site"]["recall"],
    ):
        assert rate.reason == "no images of a known group"
    assert found.worst_group["site"]["group"] is found.worst_cell["site"]["class"] is None
    assert found.groups["site"]["(missing)"].n == 3


def test_a_class_without_images_is_undefined_and_counts_nowhere():
    with pytest.warns(UndefinedRateWarning, match="without images: cow, doe, c \\(site\\)"):
        found = evaluate_classes(
            [0, 1, 2, 1], [0, 1, 0, 1], Groups(np.array([0, 0, 1, 1]), ("a", "b", "c"), "site"), classes=NAMES
        )
    assert found.recall["cow"].reason == "no images"
    assert math.isnan(found.recall["doe"].value)
    assert found.balanced_accuracy.value == 0.75
    assert found.precision["cow"].value == 0
    assert found.precision["doe"].reason == "never called so"
    assert found.worst_class["class"] == "ant"
    assert found.groups["site"]["c"].accuracy.reason == "no images"
    assert found.groups["site"]["c"].cells == {}
    assert found.not_compared["site"] == ("c",)


def test_many_classes_without_images_are_told_in_one_line():
    with pytest.warns(UndefinedRateWarning, match="2, 3, .* and 988 more") as told:
        evaluate_classes([0, 1], [0, 1], classes=list(map(str, range(1000))))
    assert len(told) == 1
    assert len(str(told[0].message)) < 250


def test_scores_decide_by_the_highest_and_ties_are_counted():
    scores = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8], [0.3, 0.35, 0.35]])
    found = evaluate_classes(scores, [1, 0, 2, 2], classes=["a", "b", "c"])
    assert found.ties == 2
    assert found.recall["c"].value == 0.5  # the last row is called b
    ids = evaluate_classes(scores.argmax(axis=1), [1, 0, 2, 2], classes=["a", "b", "c"])
    assert (ids.accuracy, ids.recall, ids.ties) == (found.accuracy, found.recall, 0)


def test_logits_decide_where_probabilities_tie():
    logits = np.array([[50.0, 90.0, 0.0], [900.0, 899.0, 0.0]] * 2)
    logits[2:] += 40 * np.array([0.0, 0.0, 3.0])
    kept = from_logits(logits)
    found = evaluate_classes(kept, logits.argmax(axis=1), classes=["a", "b", "c"])
    assert (found.accuracy.value, found.ties) == (1.0, 0)
    assert evaluate_classes(logits, logits.argmax(axis=1), classes=["a", "b", "c"]).accuracy.value == 1.0


def test_two_classes_agree_with_evaluate():
    rng = np.random.default_rng(3)
    labels = (np.arange(300) < 200).astype(int)
    probabilities = np.clip(rng.normal(0.3 + 0.4 * labels, 0.2), 0, 1)
    race = Groups.from_column([*rng.choice(["a", "b"], 200).tolist(), *[None] * 100], attribute="race")
    old = fairness.evaluate(probabilities, labels, race, replicates=100)
    found = evaluate_classes(probabilities >= 0.5, labels, race, classes=["negative", "positive"])
    assert found.accuracy == old.accuracy
    assert found.recall["positive"] == old.tpr
    assert found.recall["negative"].value == pytest.approx(old.fpr.complement.value)
    assert found.balanced_accuracy.value == pytest.approx((old.tpr.value + 1 - old.fpr.value) / 2)
    for name, numbers in old.groups["race"].items():
        assert found.groups["race"][name].cells["positive"] == numbers.tpr
    assert found.worst_cell["race"]["group"] == old.worst_group["race"]["at_0.5"]["group"]
    assert found.worst_cell["race"]["recall"] == old.worst_group["race"]["at_0.5"]["tpr"]
    assert found.gap["race"] == old.gap["race"]["at_0.5"]
    assert "(missing)" in found.groups["race"]


def test_order_of_images_classes_and_groups_changes_no_number():
    labels, calls, sites, _ = drawn()
    found = evaluate_classes(calls, labels, sites, classes=NAMES)
    rows = np.random.default_rng(1).permutation(600)
    assert evaluate_classes(calls[rows], labels[rows], sites.take(rows), classes=NAMES) == found
    to = np.array([2, 0, 3, 1])
    moved = evaluate_classes(to[calls], to[labels], sites, classes=[NAMES[i] for i in np.argsort(to)])
    assert moved.recall == found.recall
    assert moved.precision == found.precision
    assert moved.groups == found.groups
    assert moved.worst_cell == found.worst_cell
    assert moved.balanced_accuracy.low == pytest.approx(found.balanced_accuracy.low)
    back = len(sites.names) - 1
    turned = Groups(back - sites.ids, sites.names[::-1], "site", frozenset(back - i for i in sites.unknown))
    assert evaluate_classes(calls, labels, turned, classes=NAMES).groups == found.groups


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 40))
def test_naive_twin(seed, k, n):
    rng = np.random.default_rng(seed)
    labels, calls, ids = rng.integers(0, k, n), rng.integers(0, k, n), rng.integers(0, 3, n)
    groups = Groups(ids, ("(missing)", "a", "b"), "g", frozenset({0}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedRateWarning)
        found = evaluate_classes(calls, labels, groups, classes=list(map(str, range(k))))
    recalls = [np.mean(calls[labels == i] == i) for i in range(k) if (labels == i).any()]
    assert found.balanced_accuracy.value == pytest.approx(np.mean(recalls))
    assert found.balanced_accuracy.low <= np.mean(recalls) + 1e-12
    assert found.balanced_accuracy.high >= np.mean(recalls) - 1e-12
    cells = [
        np.mean(calls[mine] == i)
        for i in range(k)
        for g in (1, 2)
        if (mine := (labels == i) & (ids == g)).any()
    ]
    accuracies = [np.mean((calls == labels)[ids == g]) for g in (1, 2) if (ids == g).any()]
    if not cells:
        assert not found.worst_cell["g"]["recall"].defined
        return
    assert found.worst_cell["g"]["recall"].value == pytest.approx(min(cells))
    assert found.worst_group["g"]["accuracy"].value == pytest.approx(min(accuracies))
    if len(accuracies) == 2:
        assert found.gap["g"].value == pytest.approx(np.ptp(accuracies))
    else:
        assert not found.gap["g"].defined


def test_small_groups_are_marked():
    groups = Groups(np.repeat([0, 1], [30, 29]), ("a", "b"), "site")
    found = evaluate_classes(np.arange(59) % 2, np.arange(59) % 2, groups, classes=["x", "y"])
    assert not found.groups["site"]["a"].small
    assert found.groups["site"]["b"].small


def test_a_thousand_classes_by_ten_groups():
    rng = np.random.default_rng(0)
    labels, ids = rng.integers(0, 1000, 50_000), rng.integers(0, 10, 50_000)
    calls = np.where(rng.random(50_000) < 0.8, labels, rng.integers(0, 1000, 50_000))
    groups = Groups(ids, tuple("abcdefghij"), "site")
    found = evaluate_classes(calls, labels, groups, classes=list(map(str, range(1000))))
    assert found.balanced_accuracy.low < 0.8 < found.balanced_accuracy.high
    assert found.balanced_accuracy.high - found.balanced_accuracy.low < 0.01
    assert sum(len(numbers.cells) for numbers in found.groups["site"].values()) > 9000
    assert len(found.failing["site"]) == 20


@pytest.mark.parametrize(
    ("predicted", "labels", "classes", "message"),
    [
        ([0, 1], [0, 2], ["a", "b"], "Labels must be class ids 0…1.* got 2 at row 1"),
        ([0, -1], [0, 1], ["a", "b"], "Predicted classes must be .* got -1 at row 1"),
        ([0.2, 0.9], [0, 1], ["a", "b"], "probabilities >= threshold"),
        ([[0.2, 0.8]], [0], ["a", "b", "c"], "a column for each of the 3 classes; got shape"),
        ([[0.2, math.nan]], [0], ["a", "b"], "finite; got nan at row 0, class 1"),
        ([0], [0, 1], ["a", "b"], "1 scores and 2 labels"),
        ([], [], ["a", "b"], "at least one image"),
        ([0], [0], ["a"], "at least two names"),
        ([0], [0], "ab", "at least two names"),
        ([0], [0], ["a", "a"], r"unique; got \['a'\]"),
        (["a"], [0], ["a", "b"], "vector of class ids"),
    ],
)
def test_what_does_not_fit_is_refused(predicted, labels, classes, message):
    with pytest.raises(InputError, match=message):
        evaluate_classes(np.array(predicted), np.array(labels), classes=classes)


def test_groups_of_other_images_are_refused():
    with pytest.raises(InputError, match="3 groups of 'site'"):
        evaluate_classes([0, 1], [0, 1], Groups(np.zeros(3, int), ("a",), "site"), classes=["a", "b"])


def test_balanced_accuracy_of_one_class_is_its_recall():
    with pytest.warns(UndefinedRateWarning):
        found = evaluate_classes([0, 0, 1], [0, 0, 0], classes=["a", "b"])
    assert found.balanced_accuracy == found.recall["a"] == found.worst_class["recall"]


def test_balanced_accuracy_does_not_change_with_the_order_of_classes():
    shares = Proportions(np.array([3, 9, 40]), np.array([5, 10, 40]))
    one, other = macro_average(shares), macro_average(shares.take(np.array([2, 0, 1])))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_names_of_single_images_are_no_groups():
    groups = Groups(np.arange(20_001), tuple(map(str, range(20_001))), "file")
    with pytest.raises(InputError, match=r"at most 20,000 groups .* 20,001 of 'file'"):
        evaluate_classes(np.zeros(20_001, int), np.zeros(20_001, int), groups, classes=["a", "b"])
