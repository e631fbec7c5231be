"""Errors on a page: the summary, all test images, and group by group, four measures an attribute."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from equipoise.fairness import Evaluation
from equipoise.fairness.operating import AT_FPR
from equipoise.rate import Rate
from equipoise.report.debias.models import POINTS, Shown, at, ordered_groups, rate_of, where, worst_of
from equipoise.report.debias.record import ModelRecord
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.classes import LEAST
from equipoise.report.parts.figures import Series
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs
from equipoise.report.parts.words import ABSENT

__all__ = ["by_group", "overall", "summary"]

MISSED = "Share of a group's positives that are not found; lower is better."


def summary(shown: Shown) -> Panel | None:
    """The worst group of the first attribute, model by model: the headline in numbers."""
    if not shown.models:
        return None
    attribute = next(iter(shown.models[0].detection.worst_group), None)
    worst = [_worst(shown, model, attribute) for model in shown.models]
    whom = f"worst group by {attribute}" if attribute else "all positives"
    rows = [
        [named, tables.name(group), tables.share(rate)]
        for named, (group, rate) in zip(shown.names_of_models(), worst, strict=True)
    ]
    heads = [Column("Model", numeric=False), Column("Group", numeric=False), Column("Missed")]
    if shown.record.comparisons is not None:
        heads.append(Column(f"Against {shown.title(shown.baseline)}, points"))
        rows = [[*row, _changed(shown, name, attribute)] for row, name in zip(rows, shown.names, strict=True)]
    drawn = functools.partial(
        figures.bars,
        shown.titles,
        [Series("missed", shown.colours, [rate for _, rate in worst])],
        label=f"missed at {shown.judged} (%)",
        title=f"Misses of the {whom}, model by model",
        lead=True,
    )
    title = f"Misses of the {whom} at {shown.judged}"
    note = LEAST if attribute else ""
    return Panel.charted(title, Table(f"Summary: {whom}", heads, rows), drawn, note)


def _worst(shown: Shown, model: ModelRecord, attribute: str | None) -> tuple[str, Rate]:
    """The worst group where models are judged, and its share missed; without an attribute, all positives."""
    if attribute is None:
        missed: Rate = getattr(model.detection, POINTS[shown.points[0]]).complement
        return "all positives", missed
    worst = worst_of(model, attribute, shown.points[0])
    return worst["group"] or "–", worst["tpr"].complement


def _changed(shown: Shown, name: str, attribute: str | None) -> Cell:
    """What a model's misses of the worst group changed by, against the baseline's."""
    compared = shown.record.comparisons
    if compared is None or name not in compared.differences:
        return Cell("baseline" if name == shown.baseline else "not compared")
    found = compared.differences[name]
    point = shown.points[0]
    rate = found.tpr[point] if attribute is None else at(found.worst_group, attribute, point)
    return tables.change(words.flipped(rate))


def overall(shown: Shown) -> Table:
    """Numbers over all test images."""
    cut = shown.threshold
    columns: dict[str, Callable[[Evaluation], Cell]] = {
        f"Missed at {cut}": lambda n: tables.share(n.fnr),
        f"Found at {cut}": lambda n: tables.share(n.tpr),
        "Mean probability": lambda n: tables.spread(n.mean_probability, 3),
    }
    if shown.whole:
        columns = {
            f"Missed at {shown.judged}": lambda n: tables.share(n.fnr_at_fpr),
            f"Missed at {cut}": lambda n: tables.share(n.fnr),
            f"False positives at {cut}": lambda n: tables.share(n.fpr),
            f"Accuracy at {cut}": lambda n: tables.share(n.accuracy),
            "AUROC": lambda n: tables.spread(n.auroc, 4),
            f"Threshold at {shown.judged}": lambda n: tables.number(n.threshold_at_fpr, 4),
        }
    rows = [
        [named, *(cell(model.detection) for cell in columns.values())]
        for named, model in zip(shown.names_of_models(), shown.models, strict=True)
    ]
    heads = list(columns)
    return Table("All test images", [Column("Model", numeric=False), *map(Column, heads)], rows)


def by_group(shown: Shown) -> Tabs | None:
    """Attribute by attribute: four measures, each a chart beside its numbers."""
    if not shown.attributes:
        return None
    return Tabs("attribute", [(name, Tabs("measure", _measures(shown, name))) for name in shown.attributes])


@dataclass(frozen=True)
class _Measure:
    """A number of each group, as a field of `GroupNumbers`, and what is said about it."""

    key: str
    label: str
    note: str
    digits: int
    percent: bool = False

    def rates(self, model: ModelRecord, attribute: str, groups: list[str]) -> list[Rate]:
        return [rate_of(model, attribute, group, self.key) for group in groups]


PROBABILITY = _Measure(
    "mean_probability",
    "Mean probability",
    "Mean probability that a model gives to a group's positives.",
    3,
)
FOUND = _Measure(
    "tpr",
    "Found at",
    "Share of a group's positives that are found, which is the accuracy on them; worst group, gap and variance stand "
    "with the misses.",
    1,
    percent=True,
)
ALARMS = _Measure(
    "fpr",
    "False positives at",
    "Share of a group's negatives that are called positive, where negatives have groups; lower is better.",
    1,
    percent=True,
)
AUROC = _Measure(
    "auroc",
    "AUROC",
    "How well a group's positives are told from all negatives, over every threshold; 0.5 = chance, 1 = always.",
    4,
)


def _measures(shown: Shown, attribute: str) -> list[tuple[str, Panel | Tabs]]:
    groups = ordered_groups(shown.record, attribute)
    missed = {
        point: [
            Series(
                title,
                colour,
                [rate_of(model, attribute, group, POINTS[point]).complement for group in groups],
            )
            for model, title, colour in zip(shown.models, shown.titles, shown.colours, strict=True)
        ]
        for point in shown.points
    }
    limit = figures.highest([one for series in missed.values() for one in series])
    panels = [_missed(shown, attribute, point, series, limit) for point, series in missed.items()]
    drawn = [_drawn(shown, attribute, PROBABILITY)]
    if shown.windows or not shown.whole:
        drawn.insert(0, _drawn(shown, attribute, FOUND))
    found = [rate for model in shown.models for rate in ALARMS.rates(model, attribute, groups)]
    if shown.windows and any(rate.defined for rate in found):
        drawn.append(_drawn(shown, attribute, ALARMS))
    panels = [*panels, *drawn, _spread(shown, attribute, AUROC)] if shown.whole else [*drawn, *panels]
    return [(panel.label, panel) for panel in panels]


def _drawn(shown: Shown, attribute: str, measure: _Measure) -> Panel:
    """A measure with its chart."""
    groups = ordered_groups(shown.record, attribute)
    named = f"{measure.label} {shown.threshold}" if measure.percent else measure.label
    series = [
        Series(title, colour, measure.rates(model, attribute, groups))
        for model, title, colour in zip(shown.models, shown.titles, shown.colours, strict=True)
    ]
    unit = " (%)" if measure.percent else ""
    draw = functools.partial(
        figures.bars,
        groups,
        series,
        label=named[0].lower() + named[1:] + unit,
        title=f"{named} by {attribute}",
        percent=measure.percent,
        limit=1.0,
    )
    return _spread(shown, attribute, replace(measure, label=named), draw)


def _missed(shown: Shown, attribute: str, point: str, series: list[Series], limit: float) -> Panel:
    """Misses at an operating point; `limit` is the end of the axis."""
    groups, place = ordered_groups(shown.record, attribute), where(shown.record, point)
    worst = [worst_of(model, attribute, point)["group"] for model in shown.models]
    rows = [
        [
            *shown.group_cells(attribute, group),
            *(
                tables.share(one.rates[i], worst=of_model == group)
                for of_model, one in zip(worst, series, strict=True)
            ),
        ]
        for i, group in enumerate(groups)
    ]
    note = (
        f"{MISSED} Each model's threshold is the one at which it calls {words.asked(shown.record.fpr)} of the "
        "negatives positive, so that none gains by saying yes more often."
        if point == AT_FPR
        else f"{MISSED} With one threshold for all, a model that says yes more often misses less and pays in "
        "false positives."
    )
    title, label = f"Miss rate by {attribute} at {place}", f"missed at {place} (%)"
    drawn = functools.partial(figures.bars, groups, series, label=label, title=title, limit=limit)
    table = Table(title, shown.heads(attribute), rows, _foot(shown, attribute, point))
    return Panel.charted(f"Missed at {place}", table, drawn, note)


def _spread(shown: Shown, attribute: str, measure: _Measure, draw: Callable[..., str] | None = None) -> Panel:
    groups = ordered_groups(shown.record, attribute)
    columns = [measure.rates(model, attribute, groups) for model in shown.models]
    rows = [
        [
            *shown.group_cells(attribute, group),
            *(
                tables.share(rates[i]) if measure.percent else tables.spread(rates[i], measure.digits)
                for rates in columns
            ),
        ]
        for i, group in enumerate(groups)
    ]
    table = Table(f"{measure.label} by {attribute}", shown.heads(attribute), rows)
    if draw is None:
        return Panel(measure.label, table, note=measure.note)
    return Panel.charted(measure.label, table, draw, measure.note)


def _foot(shown: Shown, attribute: str, point: str) -> list[list[Cell]]:
    """All positives, the worst group, and how far the groups lie apart."""

    def row(label: str, pick: Callable[[ModelRecord], Cell]) -> list[Cell]:
        return [tables.name(label), Cell(""), *map(pick, shown.models)]

    def total(model: ModelRecord) -> Cell:
        rate: Rate = getattr(model.detection, POINTS[point], ABSENT)
        return tables.share(rate.complement)

    def worst(model: ModelRecord) -> Cell:
        found = worst_of(model, attribute, point)
        missed = tables.share(found["tpr"].complement)
        return missed if found["group"] is None else Cell(found["group"], missed.text)

    def gap(model: ModelRecord) -> Cell:
        return tables.spread(at(model.detection.gap, attribute, point), 1, scale=100.0)

    def variance(model: ModelRecord) -> Cell:
        return tables.spread(at(model.detection.variance, attribute, point), 2)

    return [
        row("All positives", total),
        row("Worst group", worst),
        row("Gap, max − min, points", gap),
        row("Variance, percent²", variance),
    ]
