"""The report of a sweep: a record in, one self-contained page out. It asks the network for nothing."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.figures import Trend
from equipoise.report.parts.page import rendered, write_page
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs
from equipoise.report.parts.words import ABSENT, Headline
from equipoise.report.sweep.record import SWEEP, SweepRecord, SweptModel, SweptPoint
from equipoise.report.sweep.words import (
    CHOOSING,
    LEAD,
    PLAIN,
    SWEEP_LIMITS,
    missed,
    not_followed,
    others,
    sweep_headline,
)

__all__ = ["axis_of", "sweep_html", "write_sweep_report"]

MOST_TICKS = 12  # values that have room for their names
COLOURS = (*figures.COLOURS[1:], "#000000")


def sweep_html(record: SweepRecord) -> str:
    """The report as the text of one HTML file."""
    page = _SweepPage(record)
    title, sentences = sweep_headline(record)
    return rendered(
        "sweep.html.j2",
        record,
        headline=Headline(title, "unknown", sentences, ()),
        choosing=CHOOSING,
        legend=page.legend(),
        panels=page.panels(),
        enrichment=page.enrichment(),
        not_followed=not_followed(record),
        runs=page.runs(),
        failed=[run for run in record.runs if run.error is not None],
        settings=[tables.pairs("Settings", record.settings), tables.pairs("Versions", record.versions)],
        limits=SWEEP_LIMITS,
    )


def write_sweep_report(folder: str | os.PathLike[str]) -> Path:
    """Render folder/sweep.json into folder/report.html, atomically.

    Raises:
        DataError: if there is no record that can be read, or the folder cannot be written.
    """
    return write_page(folder, SWEEP, lambda record, place: sweep_html(record))


def axis_of(values: Sequence[str]) -> tuple[str, dict[str, float]]:
    """How values stand on an axis: its scale, "log", "linear" or "category", and the place of each.

    Numbers that are all positive and span more than a decade stand on a logarithmic axis. Words, and numbers with a
    0 or less among them that span as much, stand evenly spaced in the order given.

    Example:
        >>> axis_of(["0.1", "0.001"])
        ('log', {'0.1': 0.1, '0.001': 0.001})
        >>> axis_of(["max", "product"])
        ('category', {'max': 0.0, 'product': 1.0})
    """
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        numbers = [math.nan]
    sizes = sorted(abs(number) for number in numbers if number)
    if all(map(math.isfinite, numbers)) and sizes:
        if sizes[-1] <= 10 * sizes[0]:
            return "linear", dict(zip(values, numbers, strict=True))
        if min(numbers) > 0:
            return "log", dict(zip(values, numbers, strict=True))
    return "category", {value: float(i) for i, value in enumerate(values)}


class _SweepPage:
    """The parts of the page, as tables and charts."""

    def __init__(self, record: SweepRecord) -> None:
        self.record = record
        self.subjects: list[str | None] = [*record.attributes] or [None]
        # The first setting is the horizontal axis; points that agree in the others are one line.
        self.axis = next(iter(record.vary), None)
        self.lines: dict[str, list[SweptPoint]] = {}
        for point in record.points:
            rest = ", ".join(f"{key} {value}" for key, value in point.values.items() if key != self.axis)
            self.lines.setdefault(rest or "debiased", []).append(point)
        self.colours = dict(zip(self.lines, itertools.cycle(COLOURS), strict=False))

    def legend(self) -> list[tuple[str, str]]:
        """Lines of the figure and their colours."""
        return [*self.colours.items(), ("plain network (dashed)", figures.COLOURS[0])]

    def panels(self) -> Tabs | Panel:
        """The figure and the table, attribute by attribute."""
        if len(self.subjects) == 1:
            return self._panel(self.subjects[0])
        return Tabs("attribute", [(str(attribute), self._panel(attribute)) for attribute in self.subjects])

    def _panel(self, attribute: str | None) -> Panel:
        label = f"By {attribute}" if attribute else "All positives"
        return Panel.charted(label, self._table(attribute), functools.partial(self._chart, attribute))

    def _chart(self, attribute: str | None, *, narrow: bool = False) -> str:
        if self.axis is None or not any(point.models for point in self.record.points):
            return ""
        scale, places = axis_of(self.record.vary[self.axis])
        fpr = words.asked(self.record.fpr)
        shown: dict[str, str | None] = (
            {f"worst group by {attribute}, missed at {fpr} FPR": attribute} if attribute else {}
        )
        shown[f"all positives, missed at {fpr} FPR"] = None
        named = list(places.items())[:: math.ceil(len(places) / MOST_TICKS)]
        return figures.trends(
            {title: self._trends(subject, places) for title, subject in shown.items()},
            places={place: value if len(value) < 13 else f"{value[:12]}…" for value, place in named},
            label=self.axis,
            title=f"Missed at {fpr} FPR against {self.axis}" + (f", by {attribute}" if attribute else ""),
            log=scale == "log",
            linked=scale != "category",
            narrow=narrow,
        )

    def _trends(self, attribute: str | None, places: Mapping[str, float]) -> list[Trend]:
        """A line of the plain network for every line where they differ, once where they do not."""
        found: list[Trend] = []
        for name, points in self.lines.items():
            ordered = sorted(points, key=lambda point: places[point.values[self.axis or ""]])
            x = [places[point.values[self.axis or ""]] for point in ordered]
            for model, colour in ((PLAIN, figures.COLOURS[0]), (LEAD, self.colours[name])):
                rates = [missed(point.models.get(model), attribute) for point in ordered]
                trend = Trend(name, colour, x, rates, reference=model == PLAIN)
                if not any(trend.reference and repr(one.rates) == repr(rates) for one in found):
                    found.append(trend)
        return found

    def _table(self, attribute: str | None) -> Table:
        rarest = self.record.rarest.get(attribute or "")
        heads = [Column(key, numeric=False) for key in self.record.vary or {"Point": []}]
        heads += [Column("Worst group missed")] if attribute else []
        heads += [Column("All missed")]
        heads += [Column("Variance, percent²")] if attribute else []
        heads += [Column("Accuracy at 0.5"), Column("Effective sample size"), Column("Largest weight")]
        heads += [Column(f"Rarest group drawn ({rarest})")] if rarest else []
        heads += [Column("Runs")]
        rows = [self._row(point, attribute, rarest) for point in self.record.points]
        blank = [Cell("")] * (max(len(self.record.vary), 1) - 1)
        foot = [
            [
                tables.name(title),
                *blank,
                *_numbers(model, attribute),
                *[Cell("–")] * (3 if rarest else 2),
                Cell(""),
            ]
            for title, model in others(self.record)
        ]
        return Table(
            "Means over seeds" + (f", groups by {attribute}" if attribute else ""), heads, rows, foot
        )

    def _row(self, point: SweptPoint, attribute: str | None, rarest: str | None) -> list[Cell]:
        colour = next(self.colours[name] for name, points in self.lines.items() if point in points)
        names = [
            _value(value, colour=colour if i == 0 and len(self.lines) > 1 else "")
            for i, value in enumerate(point.values.values() or ["as it is"])
        ]
        sampling = point.sampling
        cells = [
            tables.spread(sampling.ess if sampling else ABSENT, 2),
            tables.spread(sampling.max_weight if sampling else ABSENT, 1),
        ]
        if rarest and attribute:
            cells.append(_drawn(point, attribute, rarest))
        runs = Cell(
            str(len(point.seeds)), sort=len(point.seeds), tag=f"{point.failed} failed" if point.failed else ""
        )
        return [*names, *_numbers(point.models.get(LEAD), attribute), *cells, runs]

    def enrichment(self) -> Tabs | Panel | None:
        """How often each group is drawn, attribute by attribute."""
        shares = {
            attribute: point.sampling.natural_share[attribute]
            for point in self.record.points
            if point.sampling
            for attribute in point.sampling.enrichment
        }
        panels: list[tuple[str, Panel | Tabs]] = [
            (
                attribute,
                Panel(
                    f"Drawn by {attribute}", self._drawn_by(attribute, sorted(of, key=lambda g: of[g]), of)
                ),
            )
            for attribute, of in shares.items()
        ]
        if len(panels) == 1:
            return panels[0][1]
        return Tabs("attribute", panels) if panels else None

    def _drawn_by(self, attribute: str, groups: Sequence[str], shares: Mapping[str, float]) -> Table:
        heads = [Column(key, numeric=False) for key in self.record.vary or {"Point": []}]
        heads += [Column(f"{group} ({words.percent(shares[group])} of positives)") for group in groups]
        rows = [
            [
                *(_value(value) for value in point.values.values() or ["as it is"]),
                *(_drawn(point, attribute, group) for group in groups),
            ]
            for point in self.record.points
        ]
        return Table(f"Times its natural share that each group by {attribute} is drawn", heads, rows)

    def runs(self) -> Table:
        """Every run: where it is, what it took, whether it failed."""
        rows = [
            [
                tables.number(run.number, 0),
                *(_value(value) for value in run.values.values()),
                tables.number(run.seed, 0),
                Cell("–") if run.seconds is None else Cell(words.duration(run.seconds), sort=run.seconds),
                Cell(run.folder, sort=run.folder, mark="code", tag="" if run.error is None else "failed"),
            ]
            for run in self.record.runs
        ]
        heads = [
            Column("Run"),
            *(Column(key, numeric=False) for key in self.record.vary),
            Column("Seed"),
            Column("Time"),
            Column("Folder", numeric=False),
        ]
        return Table("Runs", heads, rows)


def _numbers(model: SweptModel | None, attribute: str | None) -> list[Cell]:
    cells = []
    if attribute:
        worst = tables.share(missed(model, attribute))
        group = model.worst_group.get(attribute) if model else None
        cells.append(Cell(worst.text, worst.sub, worst.sort, worst.mark, quiet=[group] if group else []))
    cells.append(tables.share(missed(model, None)))
    if attribute:
        cells.append(tables.spread(model.variance.get(attribute, ABSENT) if model else ABSENT, 1))
    cells.append(tables.share(model.accuracy if model else ABSENT))
    return cells


def _drawn(point: SweptPoint, attribute: str, group: str) -> Cell:
    found = point.sampling.enrichment.get(attribute, {}).get(group) if point.sampling else None
    return tables.enrichment(found or ABSENT)


def _value(text: str, *, colour: str = "") -> Cell:
    try:
        return Cell(text, sort=float(text), colour=colour)
    except ValueError:
        return Cell(text, sort=text.casefold(), colour=colour)
