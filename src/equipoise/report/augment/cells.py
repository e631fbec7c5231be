"""Cells of target and group on a page: accuracies, their changes, and where scores lie."""

from __future__ import annotations

import functools
import itertools

from equipoise.report.augment.measures import metrics_of
from equipoise.report.augment.models import Shown, accuracies
from equipoise.report.augment.record import AugmentedModel
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.figures import Series, Steps
from equipoise.report.parts.tables import Column, Panel, Table, Tabs

__all__ = ["cells", "scores"]

GROUP_COLOURS = tuple(figures.COLOURS[i] for i in (1, 5, 3, 4, 2, 6, 0))
SIDES = {1: "positives", 0: "negatives"}


def cells(shown: Shown) -> Tabs | None:
    """Attribute by attribute: accuracy of every cell, and its change."""
    return shown.by_attribute(
        lambda attribute: Tabs(
            "cells", [("Accuracy", _accuracy(shown, attribute)), ("Change", _cell_changes(shown, attribute))]
        )
    )


def _accuracy(shown: Shown, attribute: str) -> Panel:
    cells = shown.cells(attribute)
    measured = [metrics_of(model, attribute) for model in shown.models]
    found = [accuracies(metrics, cells) for metrics in measured]
    lowest = [
        min((rate.value for rate in rates if rate.defined), default=None)
        if metrics is not None and metrics.worst_cell is not None
        else None
        for rates, metrics in zip(found, measured, strict=True)
    ]
    rows = [
        [
            shown.cell(cell),
            tables.count(cell.n),
            *(
                tables.share(rates[i], worst=rates[i].defined and rates[i].value == low)
                for rates, low in zip(found, lowest, strict=True)
            ),
        ]
        for i, cell in enumerate(cells)
    ]
    label = f"Accuracy of the cells by {attribute}"
    chosen = [i for i, name in enumerate(shown.record.models) if name in (shown.plain, shown.lead)]
    drawn = functools.partial(
        figures.bars,
        [shown.cell(cell).text for cell in cells],
        [Series(shown.titles[i], shown.colours[i], found[i]) for i in chosen],
        label="accuracy (%)",
        title=label,
    )
    heads = [Column("Cell", numeric=False), Column("Images"), *map(Column, shown.titles, shown.colours)]
    named = " and ".join(f"“{shown.titles[i]}”" for i in chosen)
    return Panel.charted(label, Table(label, heads, rows), drawn, f"Drawn: {named}.")


def _cell_changes(shown: Shown, attribute: str) -> Panel:
    cells = shown.cells(attribute)
    found = [accuracies(model.changes.get(attribute), cells) for model, _ in shown.compared]
    rows = [
        [
            shown.cell(cell),
            tables.count(cell.n),
            *(tables.change(rates[i], better="more") for rates in found),
        ]
        for i, cell in enumerate(cells)
    ]
    label = f"Change of the cells’ accuracy by {attribute}, points"
    lead = [
        (model.title, colour, rates)
        for (model, colour), rates in zip(shown.compared, found, strict=True)
        if model is shown.record.models.get(shown.lead or "")
    ]
    heads = [
        Column("Cell", numeric=False),
        Column("Images"),
        *(Column(model.title, colour) for model, colour in shown.compared),
    ]
    table = Table(label, heads, rows)
    if not lead:
        return Panel(label, table)
    drawn = functools.partial(
        figures.differences,
        [shown.cell(cell).text for cell in cells],
        [Series(*one) for one in lead],
        label="change of the accuracy, points (higher is better)",
        title=label,
    )
    return Panel.charted(label, table, drawn, f"Drawn: “{lead[0][0]}”.")


def scores(shown: Shown) -> Tabs | None:
    """Attribute by attribute, model by model: where the groups' scores lie."""
    return shown.by_attribute(
        lambda attribute: Tabs(
            "model", [(model.title, _scores(shown, attribute, model)) for model in shown.models]
        )
    )


def _scores(shown: Shown, attribute: str, model: AugmentedModel) -> Panel:
    numbers = model.numbers.get(attribute)
    cells = numbers.metrics.cells if numbers else ()
    groups = list(dict.fromkeys(cell.group for cell in cells))
    colours = dict(zip(groups, itertools.cycle(GROUP_COLOURS), strict=False))
    dashes = dict(zip(groups, itertools.cycle(figures.DASHES[1:]), strict=False))
    rows = []
    for cell in cells:
        called = cell.accuracy if cell.target else cell.accuracy.complement
        row = shown.cell(cell, colours[cell.group])
        rows.append([row, tables.count(cell.n), tables.share(called)])
    label = f"Scores of {model.title} by {attribute}"
    heads = [Column("Cell", numeric=False), Column("Images"), Column(f"Called {shown.record.target}")]
    table, note = Table(label, heads, rows), f"Threshold {words.decimal(model.threshold, 3)}."
    if not (numbers and numbers.histograms):
        return Panel(label, table, note=note)
    panels = {
        f"{name}: {shown.target(target)}": [
            Steps(group, colours[group], dashes[group], counts)
            for group, counts in numbers.histograms.get(name, {}).items()
            if group in colours
        ]
        for target, name in SIDES.items()
    }
    drawn = functools.partial(
        figures.histograms,
        shown.record.edges,
        panels,
        label=f"score: probability of {shown.record.target}",
        title=label,
        threshold=model.threshold,
    )
    return Panel.charted(label, table, drawn, note)
