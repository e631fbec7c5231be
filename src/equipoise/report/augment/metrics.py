"""Numbers of `augment` on a page: model by model, and their changes against plain training."""

from __future__ import annotations

import functools

from equipoise.fairness import AttributeMetrics
from equipoise.report.augment.measures import (
    AP,
    DEO,
    MEASURES,
    WORST,
    Measure,
    change_of,
    measured_of,
    metrics_of,
)
from equipoise.report.augment.models import Shown
from equipoise.report.augment.record import AugmentedModel
from equipoise.report.parts import figures, tables
from equipoise.report.parts.figures import Series
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs

__all__ = ["changes", "metrics", "summary"]

SUMMARY = (WORST, DEO, AP)


def summary(shown: Shown) -> Panel | None:
    """The headline in numbers: worst cell, DEO and AP by the first attribute, model by model."""
    if not shown.models or not shown.record.measured:
        return None
    attribute = shown.record.measured[0]
    rates = [measured_of(model, attribute, WORST.key) for model in shown.models]
    rows = [
        [shown.model(i), *(_number(model, attribute, one) for one in SUMMARY)]
        for i, model in enumerate(shown.models)
    ]
    label = f"Worst cell by {attribute}, model by model"
    drawn = functools.partial(
        figures.bars,
        shown.titles,
        [Series("accuracy", shown.colours, rates)],
        label=f"accuracy in the worst cell by {attribute} (%)",
        title=label,
        lead=True,
    )
    heads = [Column("Model", numeric=False), *map(_head, SUMMARY)]
    return Panel.charted(label, Table(label, heads, rows), drawn)


def metrics(shown: Shown) -> Tabs | None:
    """Attribute by attribute: every number of every model."""
    return shown.by_attribute(lambda attribute: _metrics(shown, attribute))


def _metrics(shown: Shown, attribute: str) -> Panel:
    rows = [
        [
            shown.model(i),
            *(_number(model, attribute, one) for one in MEASURES),
            Cell(_worst(metrics_of(model, attribute)), mark="prose"),
        ]
        for i, model in enumerate(shown.models)
    ]
    heads = [
        Column("Model", numeric=False),
        *map(_head, MEASURES),
        Column("Which cell is worst", numeric=False),
    ]
    return Panel(attribute, Table(f"Numbers by {attribute}", heads, rows))


def changes(shown: Shown) -> Tabs | None:
    """Attribute by attribute, measure by measure: a model minus the plain one, paired."""
    return shown.by_attribute(lambda attribute: _changes(shown, attribute)) if shown.compared else None


def _changes(shown: Shown, attribute: str) -> Tabs:
    panels: list[tuple[str, Panel | Tabs]] = []
    for one in MEASURES:
        rates = [change_of(model, attribute, one.key) for model, _ in shown.compared]
        rows = [
            [
                shown.model(shown.models.index(model)),
                _number(model, attribute, one),
                tables.change(rate, one.digits, scale=one.scale, better=one.better),
            ]
            for (model, _), rate in zip(shown.compared, rates, strict=True)
        ]
        unit = "nats" if one.unit == "nats" else "points"
        label = f"{one.name} by {attribute}, change"
        drawn = functools.partial(
            figures.differences,
            [model.title for model, _ in shown.compared],
            [Series(one.name, [colour for _, colour in shown.compared], rates)],
            label=f"{one.name} against plain, {unit} ({one.direction})",
            title=label,
            scale=one.scale,
        )
        heads = [Column("Model", numeric=False), _head(one), Column(f"Against plain, {unit}")]
        panels.append((one.name, Panel.charted(label, Table(label, heads, rows), drawn, one.meaning)))
    return Tabs("measure", panels)


def _head(measure: Measure) -> Column:
    return Column(f"{measure.name}, {measure.unit} ({measure.direction})")


def _number(model: AugmentedModel, attribute: str, measure: Measure) -> Cell:
    return tables.spread(measured_of(model, attribute, measure.key), measure.digits, scale=measure.scale)


def _worst(numbers: AttributeMetrics | None) -> str:
    return numbers.worst_cell or "–" if numbers else "–"
