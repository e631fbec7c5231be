"""Paired differences of classes on a page: models against the baseline, over all images, by class and by group."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from equipoise.fairness import ClassDifference
from equipoise.rate import Rate
from equipoise.report.parts import figures, tables
from equipoise.report.parts.classes import CHARTED, Classes, worst_first
from equipoise.report.parts.figures import Series
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs
from equipoise.report.parts.words import ABSENT

__all__ = ["class_differences"]


def class_differences(classes: Classes) -> dict[str, Any] | None:
    """Paired differences against the baseline, for the template; None if nothing was compared."""
    found = classes.compared
    compared = [name for name in classes.names if found is not None and name in found.differences]
    if found is None or not compared:
        return None
    every = [found.differences[name] for name in compared]
    places = [list(classes.names).index(name) for name in compared]
    heads = [Column(classes.titles[place], classes.colours[place]) for place in places]
    panels: list[tuple[str, Panel | Tabs]] = [("Classes", _by_class(classes, every, heads))]
    panels += [(name, _by_group(classes, name, every, heads)) for name in classes.attributes]
    return {
        "against": classes.title(found.baseline),
        "overall": _overall(classes, every, heads),
        "tabs": Tabs("difference", panels),
    }


def _overall(classes: Classes, every: Sequence[ClassDifference], heads: Sequence[Column]) -> Table:
    def row(label: str, pick: Callable[[ClassDifference], Rate], better: str = "more") -> list[Cell]:
        return [tables.name(label), *(tables.change(pick(one), better=better) for one in every)]

    rows = [
        row("Accuracy", lambda one: one.accuracy),
        *([] if classes.equally_many else [row("Balanced accuracy", lambda one: one.balanced_accuracy)]),
        row("Worst class", lambda one: one.worst_class),
    ]
    for attribute in classes.attributes:
        rows += [
            row(f"Worst cell, class × {attribute}", lambda one, a=attribute: one.worst_cell.get(a, ABSENT)),  # type: ignore[misc]
            row(f"Worst group by {attribute}", lambda one, a=attribute: one.worst_group.get(a, ABSENT)),  # type: ignore[misc]
            row(f"Gap by {attribute}", lambda one, a=attribute: one.gap.get(a, ABSENT), "less"),  # type: ignore[misc]
        ]
    title = "Change of accuracy over all test images, percentage points"
    return Table(title, [Column("Measure", numeric=False), *heads], rows)


def _by_class(classes: Classes, every: Sequence[ClassDifference], heads: Sequence[Column]) -> Panel:
    first = classes.numbers[0]
    order = worst_first(first.classes, lambda name: first.recall[name])
    rates = [[one.recall.get(name, ABSENT) for name in order] for one in every]
    sizes = [first.recall[name].n for name in order]
    return _panel("Classes", "class", order, sizes, rates, heads)


def _by_group(
    classes: Classes, attribute: str, every: Sequence[ClassDifference], heads: Sequence[Column]
) -> Tabs:
    first = classes.numbers[0].groups[attribute]
    order = worst_first(list(first), lambda group: first[group].accuracy)
    rates = [[one.groups.get(attribute, {}).get(group, ABSENT) for group in order] for one in every]
    groups = _panel("Groups", attribute, order, [first[group].n for group in order], rates, heads)
    cells = [(name, group, rate) for group, numbers in first.items() for name, rate in numbers.cells.items()]
    cells = worst_first(cells, lambda cell: cell[2])
    changes = [
        [one.cells.get(attribute, {}).get(group, {}).get(name, ABSENT) for name, group, _ in cells]
        for one in every
    ]
    named = [f"{name} × {group}" for name, group, _ in cells]
    of_cells = _panel("Cells", f"class × {attribute}", named, [rate.n for *_, rate in cells], changes, heads)
    return Tabs("measure", [(panel.label, panel) for panel in (groups, of_cells)])


def _panel(
    label: str,
    by: str,
    order: Sequence[str],
    sizes: Sequence[int],
    rates: Sequence[Sequence[Rate]],
    heads: Sequence[Column],
) -> Panel:
    rows = [
        [
            tables.name(name),
            tables.count(sizes[i]),
            *(tables.change(of_model[i], better="more") for of_model in rates),
        ]
        for i, name in enumerate(order)
    ]
    columns = [Column(by, numeric=False), Column("Images"), *heads]
    title = f"Change of what is called right by {by}, percentage points"
    drawn = functools.partial(
        figures.differences,
        order[:CHARTED],
        [
            Series(head.text, head.colour, of_model[:CHARTED])
            for head, of_model in zip(heads, rates, strict=True)
        ],
        label="change of what is called right, points (right = more)",
        title=title,
    )
    return Panel.charted(label, tables.long_table(title, columns, rows), drawn)
