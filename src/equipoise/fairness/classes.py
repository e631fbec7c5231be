"""`evaluate_classes`: numbers of a model of any number of classes: by class, by group and by class × group cell."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError, UndefinedRateWarning
from equipoise.fairness.class_counts import ClassCells, ClassCounts, Mistakes
from equipoise.fairness.evaluation import SMALL
from equipoise.fairness.rates import NO_IMAGES
from equipoise.groups import Groups
from equipoise.intervals import Proportions, gap, macro_average, proportion, worst
from equipoise.notebook import rate_text, short, table_html
from equipoise.rate import Rate

__all__ = [
    "NO_KNOWN_GROUP",
    "ClassEvaluation",
    "FailingCell",
    "GroupClasses",
    "LowestGroup",
    "WorstCell",
    "WorstClass",
    "compared_groups",
    "evaluate_classes",
    "evaluate_counts",
    "groups_left_out",
    "shown_groups",
]

NO_KNOWN_GROUP = "no images of a known group"
NEVER_CALLED = "never called so"
FAILING = 20
"""Cells whose mistakes are told."""
NAMED = 10
"""Names in a warning."""


class LowestGroup(TypedDict):
    """The group with the lowest accuracy (None if no group is known); the interval is of the lowest over all groups."""

    group: str | None
    accuracy: Rate


WorstClass = TypedDict("WorstClass", {"class": str | None, "recall": Rate})
"""The class with the lowest recall; the interval is that of the lowest over all classes."""
WorstCell = TypedDict("WorstCell", {"class": str | None, "group": str | None, "recall": Rate})
"""The class × group cell with the lowest recall; the interval is that of the lowest over all cells."""
FailingCell = TypedDict("FailingCell", {"class": str, "group": str, "recall": Rate, "mistakes": Mistakes})
"""A class × group cell, its recall with its own interval, and what its wrong images are taken for."""


@dataclass(frozen=True)
class GroupClasses:
    """Numbers of one group.

    Args:
        n: Images.
        small: Fewer than 30.
        accuracy: Share of the group's images called right.
        cells: class → recall of the class in the group, of the classes that have images there. A cell with fewer than
            30 images (`n` of its rate) says little.
    """

    n: int
    small: bool
    accuracy: Rate
    cells: dict[str, Rate]


@dataclass(frozen=True)
class ClassEvaluation:
    """Numbers of one model of any number of classes. Rates are in [0, 1].

    Args:
        n: Images.
        classes: Names of all classes, by id.
        accuracy: Share of images called right (top-1).
        balanced_accuracy: Mean recall of the classes that have images, each counting once.
        recall: class → share of its images called right; undefined without images.
        precision: class → share of the images called so that are; undefined if none is called so.
        worst_class: The class with the lowest recall.
        confusion: class → what its wrong images are taken for; classes with wrong images only.
        groups: attribute → group → numbers.
        worst_group: attribute → the group with the lowest accuracy.
        worst_cell: attribute → the class × group cell with the lowest recall: worst-group accuracy (WGA) of the field.
        gap: attribute → largest minus smallest accuracy over groups.
        failing: attribute → the 20 cells with the lowest recall that have wrong images, lowest first and of equal ones
            the larger first.
        not_compared: attribute → groups left out of worst group, worst cell and gap: without images, or of images
            without a value.
        ties: Images whose highest score several classes share; they are called the first of these.
    """

    n: int
    classes: tuple[str, ...]
    accuracy: Rate
    balanced_accuracy: Rate
    recall: dict[str, Rate]
    precision: dict[str, Rate]
    worst_class: WorstClass
    confusion: dict[str, Mistakes]
    groups: dict[str, dict[str, GroupClasses]]
    worst_group: dict[str, LowestGroup]
    worst_cell: dict[str, WorstCell]
    gap: dict[str, Rate]
    failing: dict[str, tuple[FailingCell, ...]]
    not_compared: dict[str, tuple[str, ...]]
    ties: int = 0

    def __repr__(self) -> str:
        told = [f"accuracy {self.accuracy.value:.3f}", f"balanced {self.balanced_accuracy.value:.3f}"]
        told.append(
            f"worst class {short(self.worst_class['class'] or '–')} {self.worst_class['recall'].value:.3f}"
        )
        told += [
            f"worst cell by {short(name)} {short(cell['class'] or '–')} × {short(cell['group'] or '–')} "
            f"{cell['recall'].value:.3f}"
            for name, cell in list(self.worst_cell.items())[:2]
        ]
        return f"ClassEvaluation({self.n:,} images of {len(self.classes)} classes; {'; '.join(told)})"

    def _repr_html_(self) -> str:
        rows = [["", "all", f"{self.n:,}", rate_text(self.accuracy), ""]]
        worst = sorted(self.recall, key=lambda name: (not self.recall[name].defined, self.recall[name].high))
        rows += [
            [
                "class",
                name,
                f"{self.recall[name].n:,}",
                *map(rate_text, (self.recall[name], self.precision[name])),
            ]
            for name in worst
        ]
        rows += [
            [attribute, group, f"{of.n:,}", rate_text(of.accuracy), ""]
            for attribute, groups in self.groups.items()
            for group, of in groups.items()
        ]
        title = f"{self.n:,} images of {len(self.classes)} classes"
        return table_html(title, ["", "", "images", "called right", "precision"], rows)


def evaluate_classes(
    predicted: ArrayLike,
    labels: ArrayLike,
    groups: Groups | Sequence[Groups] = (),
    *,
    classes: Sequence[str],
    intersections: bool = True,
) -> ClassEvaluation:
    """Numbers of a model of any number of classes, with 95 % intervals over images (`equipoise.intervals` says how).

    The lowest of many cells: that all are above a limit is told by each cell alone, but that some cell is below one
    may be any cell's chance, so the upper limit of the worst cell shares its 2.5 % among all cells. With thousands of
    cells (1,000 classes × 10 groups) it is hence far above the lowest recall seen, unless that cell has many images.

    Args:
        predicted: Predicted class of each image as an id, shape (n,), or scores (n, K), probabilities or logits, of
            which the highest decides; of equal ones the lowest id, and `ties` counts such images. Of one-logit
            networks `probabilities >= threshold`.
        labels: True class of each image, ids 0…K−1.
        groups: One `Groups` an attribute, over all images. Images without a value are reported as "(missing)" and are
            never the worst group or cell, nor part of the gap.
        classes: Names of the classes, by id. A class may be without images.
        intersections: With several attributes, also report each pair of them ("race × gender").

    Raises:
        InputError: if a label or a predicted class is not an id 0…K−1, a score is not finite, names of classes are
            fewer than two or not unique, lengths differ, there is no image, or an attribute stands twice.

    Warns:
        UndefinedRateWarning: once, naming classes and groups without images.

    Undefined: recall of a class without images, precision of a class that is never called; gap with fewer than two
        known groups that have images.

    Example:
        >>> skin = Groups.from_column(["a", "a", "b", "b", "b"], attribute="skin")
        >>> found = evaluate_classes([0, 1, 2, 2, 0], [0, 1, 2, 2, 2], skin, classes=["cat", "dog", "fox"])
        >>> found.worst_cell["skin"]["class"], found.worst_cell["skin"]["group"], found.accuracy.value
        ('fox', 'b', 0.8)
        >>> found.confusion
        {'fox': {'taken_for': {'cat': 1}, 'other': 0}}
    """
    counts = ClassCounts.of(predicted, labels, groups, classes=classes)
    found = _evaluation(counts.crossed(intersections), next(iter(counts.called)))
    _warn(found, counts)
    return found


def evaluate_counts(
    counts: ClassCounts, *, model: str | None = None, intersections: bool = True
) -> ClassEvaluation:
    """What `evaluate_classes` says, in every digit, from counts of images: of a table that was counted, or of shards.

    Args:
        counts: Of the images, for example those of many shards, merged.
        model: Whose numbers, where the counts are of several models.
        intersections: With several attributes, also report each pair of them.

    Raises:
        InputError: if there is no such model, no image, or as `evaluate_classes`.

    Example:
        >>> shards = [ClassCounts.of([0, 1, 1], [0, 1, 0], classes=["cat", "dog"]) for _ in range(2)]
        >>> evaluate_counts(shards[0].merge(shards[1])).accuracy
        0.667 [0.223, 0.957] (n=6)
    """
    if model is None and len(counts.called) == 1:
        model = next(iter(counts.called))
    if model is None or model not in counts.called:
        raise InputError(
            f"Expected the name of one of the models that were counted, {', '.join(map(repr, counts.called))}; got "
            f"{model!r}. Give `model`."
        )
    found = _evaluation(counts.crossed(intersections), model)
    _warn(found, counts)
    return found


def _evaluation(counts: ClassCounts, model: str) -> ClassEvaluation:
    k, right, n = len(counts.classes), counts.right(model), counts.images
    shares = Proportions(counts.count(counts.labels, k, right), counts.of_classes)
    seen = np.flatnonzero(shares.n)
    position, lowest = worst(shares.take(seen))
    called = counts.count(counts.called[model], k)
    precision = Proportions(shares.hits, called).rates(NEVER_CALLED)
    tables = {g.attribute: _by_group(counts, model, g) for g in counts.groups}
    return ClassEvaluation(
        n=n,
        classes=counts.classes,
        accuracy=proportion(int(counts.times[right].sum()), n),
        balanced_accuracy=macro_average(shares.take(seen)),
        recall=dict(zip(counts.classes, shares.rates(NO_IMAGES), strict=True)),
        precision=dict(zip(counts.classes, precision, strict=True)),
        worst_class={"class": counts.classes[seen[position]], "recall": lowest},
        confusion={
            counts.classes[i]: found for i, found in counts.mistakes(model, counts.labels, ~right).items()
        },
        groups={name: table.groups for name, table in tables.items()},
        worst_group={name: table.worst_group for name, table in tables.items()},
        worst_cell={name: table.worst_cell for name, table in tables.items()},
        gap={name: table.gap for name, table in tables.items()},
        failing={name: table.failing for name, table in tables.items()},
        not_compared={g.attribute: groups_left_out(g) for g in counts.groups},
        ties=counts.ties[model],
    )


def shown_groups(groups: Groups) -> list[int]:
    """Ids of the groups to report: all but those of images without a value that have none."""
    counts = groups.counts
    return [group for group in range(len(groups.names)) if counts[group] or group not in groups.unknown]


def compared_groups(groups: Groups) -> NDArray[np.int64]:
    """Ids of the known groups that have images."""
    return np.array(
        [group for group in np.flatnonzero(groups.counts) if group not in groups.unknown], np.int64
    )


def groups_left_out(groups: Groups) -> tuple[str, ...]:
    """Names of the groups that are reported and not compared."""
    compared = set(compared_groups(groups).tolist())
    return tuple(groups.names[group] for group in shown_groups(groups) if group not in compared)


@dataclass(frozen=True)
class _Table:
    """The numbers of one attribute."""

    groups: dict[str, GroupClasses]
    worst_group: LowestGroup
    worst_cell: WorstCell
    gap: Rate
    failing: tuple[FailingCell, ...]


def _by_group(counts: ClassCounts, model: str, groups: Groups) -> _Table:
    cells, right = ClassCells.of(counts, groups), counts.right(model)
    n = counts.of_groups(groups)
    recall, accuracy = cells.recall(right), Proportions(counts.count(groups.ids, len(n), right), n)
    own: dict[int, dict[str, Rate]] = {group: {} for group in range(len(groups.names))}
    rates = recall.rates(NO_IMAGES)
    for class_id, group, rate in zip(cells.classes.tolist(), cells.groups.tolist(), rates, strict=True):
        own[group][counts.classes[class_id]] = rate
    of_groups = accuracy.rates(NO_IMAGES)
    numbers = {
        groups.names[i]: GroupClasses(int(n[i]), bool(n[i] < SMALL), of_groups[i], own[i])
        for i in shown_groups(groups)
    }
    compared, known = compared_groups(groups), cells.known(groups)
    if not len(compared):
        nothing = Rate.undefined(NO_KNOWN_GROUP)
        nobody: WorstCell = {"class": None, "group": None, "recall": nothing}
        return _Table(numbers, {"group": None, "accuracy": nothing}, nobody, nothing, ())
    position, lowest = worst(accuracy.take(compared))
    at, lowest_cell = worst(recall.take(known))
    cell = known[at]
    return _Table(
        numbers,
        {"group": groups.names[compared[position]], "accuracy": lowest},
        {
            "class": counts.classes[cells.classes[cell]],
            "group": groups.names[cells.groups[cell]],
            "recall": lowest_cell,
        },
        gap(accuracy.take(compared)),
        _failing(model, groups, cells, known, rates),
    )


def _failing(
    model: str, groups: Groups, cells: ClassCells, known: NDArray[np.int64], rates: list[Rate]
) -> tuple[FailingCell, ...]:
    """The cells with the lowest recall, of known groups."""
    counts = cells.counts
    values = np.array([rates[cell].value for cell in known])
    order = known[np.lexsort((-cells.n[known], values))][:FAILING]
    taken = counts.mistakes(model, cells.of_row, ~counts.right(model) & np.isin(cells.of_row, order))
    return tuple(
        {
            "class": counts.classes[cells.classes[cell]],
            "group": groups.names[cells.groups[cell]],
            "recall": rates[cell],
            "mistakes": taken[cell],
        }
        for cell in order.tolist()
        if cell in taken
    )


def _warn(found: ClassEvaluation, counts: ClassCounts) -> None:
    bare = [name for name, recall in found.recall.items() if not recall.defined]
    bare += [
        f"{g.names[i]} ({g.attribute})"
        for g in counts.groups
        for i in np.flatnonzero(g.counts == 0)
        if i not in g.unknown
    ]
    if bare:
        more = f" and {len(bare) - NAMED} more" if len(bare) > NAMED else ""
        warnings.warn(
            f"No recall or accuracy without images: {', '.join(bare[:NAMED])}{more}. These numbers are undefined, not "
            "0, and stay out of means, gap and worst.",
            UndefinedRateWarning,
            stacklevel=3,
        )
