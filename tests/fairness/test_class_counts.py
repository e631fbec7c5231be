"""Counts of images: halves merged, and tables that were counted elsewhere, say what all images say, in every digit."""

from __future__ import annotations

import tracemalloc
from functools import reduce
from itertools import permutations

import numpy as np
import pytest

from equipoise import Groups
from equipoise.errors import InputError, UndefinedRateWarning
from equipoise.fairness import ClassCounts, compare_classes, compare_counts, evaluate_classes, evaluate_counts

NAMES = ("ant", "bee", "cow", "doe")


def drawn(seed=0, n=700, k=4):
    """Labels, calls of two models and two columns, of which one lacks values."""
    chance = np.random.default_rng(seed)
    labels = chance.choice(k, n, p=np.r_[0.55, np.full(k - 1, 0.45 / (k - 1))])
    calls = {m: np.where(chance.random(n) < 0.3, chance.integers(0, k, n), labels) for m in ("old", "new")}
    sites = chance.choice(["north", "south", None, "west"], n, p=[0.5, 0.3, 0.1, 0.1])
    return labels, calls, {"site": sites, "sex": chance.choice(["f", "m"], n)}


def counted(labels, calls, columns, rows):
    """Counts of some rows, whose groups are named by what occurs in them."""
    groups = [Groups.from_column(values[rows].tolist(), attribute=name) for name, values in columns.items()]
    return ClassCounts.of({m: c[rows] for m, c in calls.items()}, labels[rows], groups, classes=NAMES)


def parts(*edges, n=700):
    return [np.arange(a, b) for a, b in zip((0, *edges), (*edges, n), strict=True)]


def whole(labels, calls, columns):
    groups = [Groups.from_column(values.tolist(), attribute=name) for name, values in columns.items()]
    return (
        evaluate_classes(calls["new"], labels, groups, classes=NAMES),
        compare_classes(calls, labels, groups, classes=NAMES, baseline="old"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("edges", [(350,), (0,), (700,), (1, 5, 300)])
def test_parts_merged_say_what_the_whole_says(edges):
    made = drawn()
    one, both = whole(*made)
    counts = reduce(ClassCounts.merge, [counted(*made, rows) for rows in parts(*edges)])
    assert counts.images == 700
    assert evaluate_counts(counts, model="new") == one
    assert compare_counts(counts, baseline="old") == both


def test_the_order_of_merging_changes_nothing():
    labels, calls, columns = drawn()
    order = np.argsort(columns["site"].astype(str), kind="stable")  # parts that lack groups of the others
    made = labels[order], {m: c[order] for m, c in calls.items()}, {k: v[order] for k, v in columns.items()}
    shards = [counted(*made, rows) for rows in parts(60, 200, 520)]
    assert len({shard.groups[0].names for shard in shards}) > 2
    one, _ = whole(*made)
    for some in permutations(shards):
        left = reduce(ClassCounts.merge, some)
        right = some[0].merge(some[1]).merge(some[2].merge(some[3]))
        for counts in (left, right):
            assert evaluate_counts(counts, model="new") == one
            assert counts.groups[0].names == ("(missing)", "north", "south", "west")
            assert list(evaluate_counts(counts, model="new").groups["site"]) == list(one.groups["site"])


def test_what_is_without_images_on_one_side_is_without_or_not_in_all():
    labels, calls = np.array([0, 0, 1]), np.array([0, 1, 1])
    first = ClassCounts.of(calls, labels, Groups(np.zeros(3, int), ("a", "b"), "g"), classes=NAMES[:3])
    second = ClassCounts.of([2], [2], Groups(np.zeros(1, int), ("c",), "g"), classes=NAMES[:3])
    with pytest.warns(UndefinedRateWarning, match="without images: cow, b \\(g\\)"):
        evaluate_counts(first)
    with pytest.warns(UndefinedRateWarning, match="without images: b \\(g\\)"):
        found = evaluate_counts(first.merge(second))
    assert found.recall["cow"].n == 1
    assert not found.groups["g"]["b"].accuracy.defined


def test_ties_add_up():
    scores = np.array([[0.5, 0.5], [0.1, 0.9], [0.3, 0.3]])
    one, two = (
        ClassCounts.of(scores[rows], [0, 1, 1][rows], classes=["a", "b"])
        for rows in (slice(0, 2), slice(2, 3))
    )
    assert evaluate_counts(one.merge(two)) == evaluate_classes(scores, [0, 1, 1], classes=["a", "b"])
    assert evaluate_counts(one.merge(two)).ties == 2


def test_two_classes_at_a_threshold():
    chance = np.random.default_rng(1)
    labels, scores = np.arange(300) % 2, chance.random(300)
    whole = evaluate_classes(scores >= 0.4, labels, classes=["no", "yes"])
    halves = [ClassCounts.of(scores[r] >= 0.4, labels[r], classes=["no", "yes"]) for r in parts(90, n=300)]
    assert len(halves[0].times) == 4
    assert evaluate_counts(halves[0].merge(halves[1])) == whole


def test_a_hundred_million_images_take_as_much_as_their_cells():
    chance = np.random.default_rng(2)
    labels, called, ids = (one.reshape(-1) for one in np.indices((3, 3, 5)))
    times = chance.integers(0, 5_000_000, 45)
    times[7] = 0
    site = Groups(ids, tuple("abcde"), "site")
    tracemalloc.start()
    counts = ClassCounts.of(called, labels, site, classes=NAMES[:3], times=times)
    found = evaluate_counts(counts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts.images == found.n == times.sum() > 100_000_000
    assert len(counts.times) == 44
    assert peak < 2_000_000
    assert found.accuracy.value == times[labels == called].sum() / times.sum()
    assert found.groups["site"]["b"].cells["cow"].n == times[(labels == 2) & (ids == 1)].sum()
    assert 0 < found.accuracy.high - found.accuracy.low < 1e-3
    taken = found.confusion["cow"]["taken_for"]
    assert taken == {NAMES[j]: times[(labels == 2) & (called == j)].sum() for j in (0, 1)}


def test_rows_that_stand_for_several_are_as_so_many():
    labels, calls, columns = drawn(n=60)
    times = np.random.default_rng(3).integers(0, 4, 60)
    rows = np.repeat(np.arange(60), times)
    groups = [Groups.from_column(values.tolist(), attribute=name) for name, values in columns.items()]
    counts = ClassCounts.of(calls, labels, groups, classes=NAMES, times=times)
    same = evaluate_classes(calls["new"][rows], labels[rows], [g.take(rows) for g in groups], classes=NAMES)
    assert evaluate_counts(counts, model="new") == same
    assert repr(compare_counts(counts, baseline="new")) == repr(
        compare_classes(
            {m: c[rows] for m, c in calls.items()},
            labels[rows],
            [g.take(rows) for g in groups],
            classes=NAMES,
            baseline="new",
        )
    )


def test_more_columns_than_a_whole_number_holds():
    chance = np.random.default_rng(4)
    labels, calls = chance.integers(0, 3, 400), chance.integers(0, 3, 400)
    groups = [
        Groups(chance.integers(0, 3, 400), tuple(map(str, range(2048))), f"g{i}") for i in range(6)
    ]  # 2⁶⁶ possible rows: a sum that overflows forgets labels
    with pytest.warns(UndefinedRateWarning):
        whole = evaluate_classes(calls, labels, groups, classes=NAMES[:3], intersections=False)
    counts = ClassCounts.of(calls, labels, groups, classes=NAMES[:3])
    rows = np.stack([labels, calls, *(g.ids for g in groups)])
    assert len(counts.times) == np.unique(rows, axis=1).shape[1] < 400
    with pytest.warns(UndefinedRateWarning):
        assert evaluate_counts(counts, intersections=False) == whole


def test_what_does_not_fit_is_refused():
    site = Groups.from_column(["a", "b"], attribute="site")
    one = ClassCounts.of([0, 1], [0, 1], site, classes=["x", "y"])
    of = ClassCounts.of
    for other, words in (
        (of([0], [0], site.take([0]), classes=["x", "z"]), r"same classes.*\['x', 'y'\] and \['x', 'z'\]"),
        (of({"m": [0]}, [0], site.take([0]), classes=["x", "y"]), r"same models.*'model'.*'m'"),
        (of([0], [0], classes=["x", "y"]), r"same attributes.*\['site'\] and \[\]"),
        (
            of([0], [0], Groups(np.zeros(1, int), ("a",), "site", frozenset({0})), classes=["x", "y"]),
            "'a' of 'site' is a value on one side",
        ),
    ):
        for first, second in ((one, other), (other, one)):
            with pytest.raises(InputError, match=words if first is one else "merge must be|on one side"):
                first.merge(second)
    for times, words in (([1], "each of 2 rows"), ([1, -1], "-1 among them"), ([0.5, 1], "float64")):
        with pytest.raises(InputError, match=words):
            of([0, 1], [0, 1], classes=["x", "y"], times=times)
    with pytest.raises(InputError, match="at most 9,007,199,254,740,992 images"):
        of([0, 1], [0, 1], classes=["x", "y"], times=[2**60, 2**62])
    with pytest.raises(InputError, match="at least one image"):
        evaluate_counts(of([], [], Groups.from_column([], attribute="site"), classes=["x", "y"]))
    two = of({"p": [0], "q": [1]}, [0], classes=["x", "y"])
    with pytest.raises(InputError, match="one of the models that were counted, 'p', 'q'; got None"):
        evaluate_counts(two)
    with pytest.raises(InputError, match="got baseline 'r'"):
        compare_counts(two, baseline="r")
    with pytest.raises(InputError, match="got no model"):
        of({}, [0], classes=["x", "y"])
    with pytest.raises(InputError, match="2 scores and 1 labels"):
        of({"p": [0], "q": [1, 0]}, [0], classes=["x", "y"])
