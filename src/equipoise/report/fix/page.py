"""The page of a fix: what changed for whom, what it cost, what was tried, and by what it was chosen."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from equipoise.report.debias.training import trained
from equipoise.report.fix.record import AFTER, BEFORE, FIX, FixRecord, picture_name
from equipoise.report.fix.words import FIX_LIMITS, fix_headline, subject, trait, worst
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.class_differences import class_differences
from equipoise.report.parts.classes import (
    Classes,
    by_class,
    class_groups,
    class_summary,
    confusions,
    overall_classes,
)
from equipoise.report.parts.confusion import evaluated_matrix
from equipoise.report.parts.figures import Series
from equipoise.report.parts.page import Picture, picture, rendered, write_page
from equipoise.report.parts.tables import Cell, Column, Panel, Table
from equipoise.report.parts.wrong import wrong_page

__all__ = ["fix_html", "write_fix_report"]

MAIN = BEFORE, AFTER
EACH = (
    "The intervals in this chart are of each cell alone. In the words, that of the worst cell allows for which one is "
    "the worst, so it is wider."
)


def fix_html(record: FixRecord, folder: str | os.PathLike[str] | None = None) -> str:
    """The report as the text of one HTML file.

    Args:
        record: What the fix left behind.
        folder: Its folder, where the pictures lie. A picture that is not there is said to be missing.
    """
    every = _classes(record, list(record.models))
    two = _classes(record, [name for name in MAIN if name in record.models])
    return rendered(
        "fix.html.j2",
        record,
        headline=fix_headline(record),
        summary=_summary(record, two),
        overall=overall_classes(every),
        cells=class_groups(two),
        classes=by_class(two),
        confusion=[one for one in map(evaluated_matrix, two.titles, two.numbers) if one is not None],
        confusions=confusions(two),
        wrong=wrong_page(record.wrong, folder),
        differences=class_differences(every),
        legend=list(zip(two.titles, two.colours, strict=True)),
        slices=_slices(record),
        slice_pictures=_slice_pictures(record, folder),
        tried=_tried(record),
        facts=_facts(record),
        trained=trained(record.data),
        settings=[
            tables.pairs("Network", record.network),
            tables.pairs("Settings", record.settings),
            tables.pairs("Versions", record.versions),
        ],
        limits=FIX_LIMITS,
    )


def write_fix_report(folder: str | os.PathLike[str]) -> Path:
    """Render folder/fix.json and the pictures it names into folder/report.html, atomically.

    Raises:
        DataError: if there is no record that can be read, or the folder cannot be written.
    """
    return write_page(folder, FIX, fix_html)


def _classes(record: FixRecord, names: list[str]) -> Classes:
    colours = dict(
        zip(record.models, (figures.COLOURS[i % len(figures.COLOURS)] for i in range(99)), strict=False)
    )
    return Classes(
        names,
        [record.models[name].title for name in names],
        [colours[name] for name in names],
        [record.models[name].numbers for name in names],
        names.index(AFTER) if AFTER in names else 0,
        record.comparisons,
    )


def _summary(record: FixRecord, two: Classes) -> Panel:
    """Before and after in each cell of the first attribute, worst first; without one, the worst class."""
    attribute = subject(record)
    if attribute is None:
        return class_summary(two)
    before = record.models[BEFORE].numbers.groups[attribute]
    after = record.models[AFTER].numbers.groups[attribute]
    cells = [(label, group) for group, of in before.items() for label in of.cells]
    cells.sort(key=lambda cell: before[cell[1]].cells[cell[0]].value)
    shown = cells[:8]
    rates = [[numbers[group].cells[label] for label, group in shown] for numbers in (before, after)]
    names = [f"{label} × {group}" for label, group in shown]
    lows = [worst(record.models[name].numbers, attribute)[0] for name in MAIN]
    rows = [
        [
            tables.name(named, tag="under 30 images" if rates[0][place].n < 30 else ""),
            tables.count(rates[0][place].n),
            *(tables.share(of[place], worst=low == named) for of, low in zip(rates, lows, strict=True)),
        ]
        for place, named in enumerate(names)
    ]
    title = f"Right by class and {attribute}, before and after"
    drawn = functools.partial(
        figures.bars,
        names,
        [Series(*one) for one in zip(two.titles, two.colours, rates, strict=True)],
        label="called right (%)",
        title=title,
        limit=1.0,
        lead=True,
    )
    heads = [Column(f"Class × {attribute}", numeric=False), Column("Images"), *two.heads()]
    return Panel.charted(title, Table(title, heads, rows), drawn, EACH)


def _slices(record: FixRecord) -> Table | None:
    if not record.slices:
        return None
    rows = [
        [
            tables.name(one.name),
            tables.name(one.label),
            tables.count(one.images),
            tables.share(one.before),
            tables.share(one.after),
            tables.change(one.change),
            Cell("; ".join(map(trait, one.traits)), mark="prose"),
        ]
        for one in record.slices
    ]
    heads = [Column("Slice", numeric=False), Column("Class", numeric=False), Column("Test images")]
    heads += [Column("Wrong before"), Column("Wrong after"), Column("Change, points")]
    heads += [Column("Mostly, looked at last", numeric=False)]
    return tables.long_table("Hidden groups that the network failed on", heads, rows, file="fix.json")


def _slice_pictures(record: FixRecord, folder: str | os.PathLike[str] | None) -> list[Picture]:
    """Of each slice that has one; an earlier version wrote none."""
    found = []
    for number, one in enumerate(record.slices, 1):
        if (file := record.pictures.get(picture_name(number))) is None:
            continue
        still = len(one.shown) - one.right_now
        caption = (
            f"Test images of it that were called wrong, drawn by chance: the first {one.right_now} of "
            f"{len(one.shown)} are called right now."
        )
        if not (still and one.right_now):
            caption = (
                f"Test images of it that were called wrong, drawn by chance: {'none' if still else 'all'} of these "
                f"{len(one.shown)} {'is' if still else 'are'} called right now."
            )
        found.append(picture(one.name, caption, file, folder))
    return found


def _tried(record: FixRecord) -> Table:
    """Candidates, best merit first."""
    known = any(one.worst_group is not None for one in record.choice.tried)
    rows = []
    for one in record.choice.tried:
        tag = (
            "chosen"
            if one.title in (record.choice.chosen, *record.choice.alike)
            else ""
            if one.may_win
            else "may not win"
        )
        row = [tables.name(one.title, tag=tag)]
        row += [_percent(value) for value in (one.merit, one.accuracy, one.balanced, one.worst_class)]
        rows.append([*row, *([_percent(one.worst_group)] if known else [])])
    heads = [Column("Last layer", numeric=False), Column("Merit"), Column("Accuracy")]
    heads += [Column("Balanced"), Column("Worst class"), *([Column("Worst cell")] if known else [])]
    return tables.long_table("What was tried, percent right", heads, rows, file="fix.json")


def _percent(value: float | None) -> Cell:
    return Cell("–") if value is None else Cell(words.decimal(100 * value), sort=value)


def _facts(record: FixRecord) -> list[str]:
    choice, timing = record.choice, record.timing
    return [
        choice.rule,
        f"Its merit is {words.signed(100 * choice.gain)} points above leaving the layer as it is, with a standard "
        f"error of {words.decimal(100 * choice.doubt)}; {words.percent(choice.stability, 0)} of the seeds choose that "
        "method.",
        *choice.notes,
        f"Features took {words.duration(timing.features_s)}, trying and choosing {words.duration(timing.choosing_s)}, "
        f"the whole run {words.duration(timing.wall_s)}.",
    ]
