"""Paired differences on a page: models against the baseline, over all test images and group by group."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from equipoise.fairness import Difference
from equipoise.rate import Rate
from equipoise.report.debias.models import Shown, at, ordered_groups, where
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.figures import Series
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs
from equipoise.report.parts.words import ABSENT

__all__ = ["differences"]


def differences(shown: Shown) -> dict[str, Any] | None:
    """Paired differences against the baseline, for the template."""
    found = shown.record.comparisons
    compared = [name for name in shown.names if found is not None and name in found.differences]
    if found is None or not compared:
        return None
    every = [found.differences[name] for name in compared]
    places = [shown.names.index(name) for name in compared]
    heads = [Column(shown.titles[i], shown.colours[i]) for i in places]
    tabs = [
        (name, Tabs("point", [_by_group(shown, name, point, every, heads) for point in shown.points]))
        for name in shown.attributes
    ]
    return {
        "against": shown.title(found.baseline),
        "overall": _overall(shown, every, heads),
        "tabs": Tabs("attribute", tabs) if tabs else None,
    }


def _overall(shown: Shown, compared: Sequence[Difference], heads: Sequence[Column]) -> Table:
    def row(label: str, pick: Callable[[Difference], Cell]) -> list[Cell]:
        return [tables.name(label), *map(pick, compared)]

    def missed(point: str) -> list[Cell]:
        place = where(shown.record, point).removeprefix("threshold ")
        return row(f"Missed at {place}", lambda c: tables.change(words.flipped(c.tpr[point])))

    rows = [missed(point) for point in shown.points]
    if shown.whole:
        rows += [
            row(f"False positives at {shown.threshold}", lambda c: tables.change(c.fpr)),
            row(f"Accuracy at {shown.threshold}", lambda c: tables.change(c.accuracy, better="more")),
            row("AUROC × 100", lambda c: tables.change(c.auroc, 2, better="more")),
        ]
    title = "Change over all test images, percentage points"
    return Table(title, [Column("Measure", numeric=False), *heads], rows)


def _by_group(
    shown: Shown, attribute: str, point: str, compared: Sequence[Difference], heads: Sequence[Column]
) -> tuple[str, Panel]:
    place, groups = where(shown.record, point), ordered_groups(shown.record, attribute)

    def difference(c: Difference, group: str) -> Rate:
        return words.flipped(c.groups.get(attribute, {}).get(group, {}).get(point, ABSENT))

    def foot(label: str, pick: Callable[[Difference], Cell]) -> list[Cell]:
        return [tables.name(label), Cell(""), *map(pick, compared)]

    series = [
        Series(head.text, head.colour, [difference(c, group) for group in groups])
        for c, head in zip(compared, heads, strict=True)
    ]
    rows = [
        [*shown.group_cells(attribute, group), *(tables.change(one.rates[i]) for one in series)]
        for i, group in enumerate(groups)
    ]
    table = Table(
        f"Change of the miss rate by {attribute} at {place}, percentage points",
        [*shown.group_heads(attribute), *heads],
        rows,
        [
            foot("Worst group", lambda c: tables.change(words.flipped(at(c.worst_group, attribute, point)))),
            foot("Gap, max − min, points", lambda c: tables.change(at(c.gap, attribute, point))),
            foot("Variance, percent²", lambda c: tables.change(at(c.variance, attribute, point), 2, scale=1)),
        ],
    )
    drawn = functools.partial(
        figures.differences,
        groups,
        series,
        label=f"change of misses at {place}, points (left = fewer)",
        title=f"Change of the miss rate by {attribute} at {place}",
    )
    return f"At {place}", Panel.charted(f"At {place}", table, drawn)
