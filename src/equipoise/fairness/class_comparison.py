"""`compare_classes`: what changed from one model to another of any number of classes, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.class_counts import ClassCells, ClassCounts
from equipoise.fairness.classes import NO_KNOWN_GROUP, compared_groups, groups_left_out, shown_groups
from equipoise.fairness.rates import NO_IMAGES
from equipoise.groups import Groups
from equipoise.intervals import Pairs, Proportions, gap_difference, macro_difference, worst_difference
from equipoise.notebook import rate_text, short, table_html
from equipoise.rate import Rate

__all__ = ["ClassComparison", "ClassDifference", "compare_classes", "compare_counts"]

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassDifference:
    """A model minus the baseline, on the same images; names as in `ClassEvaluation`. Above 0 is better, but for `gap`.

    Args:
        accuracy: Difference of the shares of images called right.
        balanced_accuracy: Difference of the mean recalls.
        recall: class → difference of its recall.
        worst_class: Difference of the lowest recall over classes (each model has its own worst class).
        groups: attribute → group → difference of accuracy.
        cells: attribute → group → class → difference of the recall of the class in the group.
        worst_group: attribute → difference of the lowest accuracy over groups.
        worst_cell: attribute → difference of the lowest recall over class × group cells.
        gap: attribute → difference of the gaps; below 0 is more equal.
    """

    accuracy: Rate
    balanced_accuracy: Rate
    recall: dict[str, Rate]
    worst_class: Rate
    groups: dict[str, dict[str, Rate]]
    cells: dict[str, dict[str, dict[str, Rate]]]
    worst_group: dict[str, Rate]
    worst_cell: dict[str, Rate]
    gap: dict[str, Rate]


@dataclass(frozen=True)
class ClassComparison:
    """Models against a baseline.

    Args:
        baseline: Name of the model that the others are compared with.
        classes: Names of all classes, by id.
        differences: model → difference from the baseline.
        not_compared: attribute → groups left out of worst group, worst cell and gap.
    """

    baseline: str
    classes: tuple[str, ...]
    differences: dict[str, ClassDifference]
    not_compared: dict[str, tuple[str, ...]]

    def __repr__(self) -> str:
        told = [
            f"{short(name)} accuracy {one.accuracy.value:+.3f}, worst class {one.worst_class.value:+.3f}"
            for name, one in self.differences.items()
        ]
        return f"ClassComparison({'; '.join(told)}; against {short(self.baseline)})"

    def _repr_html_(self) -> str:
        rows = [
            [name, *map(rate_text, (one.accuracy, one.balanced_accuracy, one.worst_class))]
            for name, one in self.differences.items()
        ]
        heads = ["model", "accuracy", "balanced accuracy", "worst class"]
        return table_html(f"Differences from {self.baseline}", heads, rows)


def compare_classes(
    predicted: Mapping[str, ArrayLike],
    labels: ArrayLike,
    groups: Groups | Sequence[Groups] = (),
    *,
    classes: Sequence[str],
    baseline: str,
    intersections: bool = True,
) -> ClassComparison:
    """Differences of models from a baseline, with paired 95 % intervals over images.

    Args:
        predicted: model → predicted classes, or scores, as `evaluate_classes` takes them, all on the same images.
        labels: True class of each image, ids 0…K−1.
        groups: One `Groups` an attribute.
        classes: Names of the classes, by id.
        baseline: The model that the others are compared with.
        intersections: With several attributes, also each pair of them.

    Raises:
        InputError: if the baseline or another model is missing, or as for `evaluate_classes`.

    Undefined: differences of rates that are undefined, as in `evaluate_classes`.

    Example:
        >>> calls = {"plain": [0, 0, 1, 1, 1, 0], "balanced": [0, 0, 1, 1, 2, 2]}
        >>> found = compare_classes(calls, [0, 0, 1, 1, 2, 2], classes=["a", "b", "c"], baseline="plain")
        >>> found.differences["balanced"].recall["c"].value
        1.0
    """
    _check_models(predicted, baseline)
    counts = ClassCounts.of(predicted, labels, groups, classes=classes)
    return compare_counts(counts, baseline=baseline, intersections=intersections)


def compare_counts(counts: ClassCounts, *, baseline: str, intersections: bool = True) -> ClassComparison:
    """What `compare_classes` says, in every digit, from counts of images: of a table that was counted, or of shards.

    Args:
        counts: Of two models or more on the same images, for example those of many shards, merged.
        baseline: The model that the others are compared with.
        intersections: With several attributes, also each pair of them.

    Raises:
        InputError: if the baseline or another model is missing, there is no image, or as `compare_classes`.
    """
    _check_models(counts.called, baseline)
    crossed = counts.crossed(intersections)
    differences = {
        model: _difference(crossed, model, baseline) for model in counts.called if model != baseline
    }
    left_out = {g.attribute: groups_left_out(g) for g in crossed.groups}
    return ClassComparison(baseline, counts.classes, differences, left_out)


def _check_models(models: Mapping[str, ArrayLike], baseline: str) -> None:
    if baseline not in models or len(models) < 2:
        raise InputError(
            f"A comparison needs the baseline and at least one other model; got baseline {baseline!r} and "
            f"models {list(models)}. Name one of the models as the baseline."
        )


def _difference(counts: ClassCounts, model: str, baseline: str) -> ClassDifference:
    right, theirs = counts.right(model), counts.right(baseline)
    won, lost = right & ~theirs, theirs & ~right
    k, n = len(counts.classes), counts.of_classes
    seen = np.flatnonzero(n)
    shares = [Proportions(counts.count(counts.labels, k, hit), n).take(seen) for hit in (right, theirs)]
    of_classes = _pairs(counts, counts.labels, k, won, lost)
    everyone = _pairs(counts, np.zeros_like(counts.labels), 1, won, lost)
    tables = {g.attribute: _by_group(counts, g, (right, theirs)) for g in counts.groups}
    return ClassDifference(
        accuracy=everyone.rates(NO_IMAGES)[0],
        balanced_accuracy=macro_difference(of_classes.take(seen)),
        recall=dict(zip(counts.classes, of_classes.rates(NO_IMAGES), strict=True)),
        worst_class=worst_difference(shares[0], shares[1], of_classes.take(seen)),
        groups={name: table.groups for name, table in tables.items()},
        cells={name: table.cells for name, table in tables.items()},
        worst_group={name: table.worst_group for name, table in tables.items()},
        worst_cell={name: table.worst_cell for name, table in tables.items()},
        gap={name: table.gap for name, table in tables.items()},
    )


def _pairs(counts: ClassCounts, ids: NDArray[np.int64], k: int, won: Flags, lost: Flags) -> Pairs:
    return Pairs.of(counts.count(ids, k, won), counts.count(ids, k, lost), counts.count(ids, k))


@dataclass(frozen=True)
class _Table:
    """The differences of one attribute."""

    groups: dict[str, Rate]
    cells: dict[str, dict[str, Rate]]
    worst_group: Rate
    worst_cell: Rate
    gap: Rate


def _by_group(counts: ClassCounts, groups: Groups, right: tuple[Flags, Flags]) -> _Table:
    cells, k = ClassCells.of(counts, groups), len(groups.names)
    won, lost = right[0] & ~right[1], right[1] & ~right[0]
    of_groups = _pairs(counts, groups.ids, k, won, lost)
    of_cells = _pairs(counts, cells.of_row, len(cells.n), won, lost)
    rates, shown = of_groups.rates(NO_IMAGES), shown_groups(groups)
    own: dict[int, dict[str, Rate]] = {group: {} for group in range(k)}
    for place, rate in enumerate(of_cells.rates(NO_IMAGES)):
        own[cells.groups[place]][counts.classes[cells.classes[place]]] = rate
    of_names = {groups.names[i]: rates[i] for i in shown}, {groups.names[i]: own[i] for i in shown}
    compared, known = compared_groups(groups), cells.known(groups)
    if not len(compared):
        return _Table(*of_names, *[Rate.undefined(NO_KNOWN_GROUP)] * 3)
    n = counts.of_groups(groups)
    shares = [Proportions(counts.count(groups.ids, k, hit), n).take(compared) for hit in right]
    recalls = [cells.recall(hit).take(known) for hit in right]
    pairs = of_groups.take(compared)
    return _Table(
        *of_names,
        worst_difference(shares[0], shares[1], pairs),
        worst_difference(recalls[0], recalls[1], of_cells.take(known)),
        gap_difference(shares[0], shares[1], pairs),
    )
