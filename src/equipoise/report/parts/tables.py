"""Tables of the report: cells that show a number with its interval, or the reason why there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.rate import Rate
from equipoise.report.parts import words
from equipoise.report.parts.words import ABSENT

__all__ = [
    "Cell",
    "Column",
    "Panel",
    "Table",
    "Tabs",
    "change",
    "count",
    "enrichment",
    "known",
    "long_table",
    "name",
    "number",
    "pairs",
    "share",
    "spread",
]


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        text: What stands there.
        sub: Small, below it: the interval, or why there is no number.
        sort: What the column is sorted by; None = always last.
        mark: How it looks: "undefined", "worst", "fewer", "more", "none", "code", "prose".
        tag: A word of warning beside it.
        colour: Colour of the model that the row is about.
        quiet: Words beside it that warn of nothing.
    """

    text: str
    sub: str = ""
    sort: float | str | None = None
    mark: str = ""
    tag: str = ""
    colour: str = ""
    quiet: Sequence[str] = ()


@dataclass(frozen=True)
class Column:
    """Head of a column; `colour` is that of the model it is about."""

    text: str
    colour: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Columns, rows that can be sorted, and rows below that stay where they are; `folded` rows open with a click."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Sequence[Cell]] = ()
    folded: Sequence[Sequence[Cell]] = ()
    left_out: str = ""  # what is not here, in words


def long_table(
    name: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    first: int = 12,
    most: int = 200,
    file: str = "record.json",
) -> Table:
    """A table of which the first rows are seen at once and the others with a click; the rest stands in a file.

    Args:
        rows: The most important first.
        first: Seen at once; a few more than these are seen as well, rather than folded.
        most: Rows that the page holds.
        file: Where all rows are.
    """
    if len(rows) <= first + 3:
        return Table(name, columns, rows)
    left = len(rows) - most
    said = f"The other {left:,} rows stand in {file}." if left > 0 else ""
    return Table(name, columns, rows[:first], folded=rows[first:most], left_out=said)


@dataclass(frozen=True)
class Panel:
    """A chart (SVG text; empty = none) beside its numbers, and a sentence about them.

    `narrow` is the same chart for a telephone; `legend` what its colours mean, where the page does not say it.
    """

    label: str
    table: Table
    chart: str = ""
    note: str = ""
    narrow: str = ""
    legend: Sequence[tuple[str, str]] = ()

    @classmethod
    def charted(cls, label: str, table: Table, draw: Callable[..., str], note: str = "") -> Panel:
        """A panel whose chart is drawn for a page and for a telephone, which `draw` takes as `narrow`."""
        return cls(label, table, draw(), note, draw(narrow=True))


@dataclass(frozen=True)
class Tabs:
    """Panels, or further tabs, of which one is shown; tabs of one `subject` are turned together."""

    subject: str
    panels: Sequence[tuple[str, Panel | Tabs]]


def name(text: str, *, colour: str = "", tag: str = "", quiet: Sequence[str] = ()) -> Cell:
    """A name."""
    return Cell(text, sort=text.casefold(), colour=colour, tag=tag, quiet=quiet)


def count(value: int | None, total: int | None = None) -> Cell:
    """A count; with a total, its share below."""
    if value is None:
        return Cell("–")
    return Cell(f"{value:,}", words.percent(value / total) if total else "", float(value))


def number(value: float | None, digits: int) -> Cell:
    """A number without doubt, such as a threshold."""
    if value is None or math.isnan(value):
        return Cell("–")
    return Cell(words.decimal(value, digits), sort=value)


def share(rate: Rate, *, digits: int = 1, worst: bool = False) -> Cell:
    """A rate in percent."""
    if not rate.defined:
        return _undefined(rate)
    text = words.percent(rate.value, digits)
    return Cell(text, words.interval(rate, 100, digits), rate.value, "worst" if worst else "")


def spread(rate: Rate, digits: int, *, scale: float = 1.0) -> Cell:
    """A rate in its own unit, such as AUROC or a gap in points."""
    if not rate.defined:
        return _undefined(rate)
    return Cell(words.decimal(scale * rate.value, digits), words.interval(rate, scale, digits), rate.value)


def change(difference: Rate, digits: int = 1, *, scale: float = 100.0, better: str | None = "less") -> Cell:
    """A paired difference; ▼ or ▲ only when its interval does not cover 0.

    Args:
        difference: New − old.
        digits: Decimals shown.
        scale: What it is multiplied by; 100 gives percentage points.
        better: "less" or "more" is the better direction; None = neither, no colour.
    """
    if not difference.defined:
        return _undefined(difference)
    sure = words.verdict(difference)
    arrow = {"fewer misses": "▼ ", "more misses": "▲ "}.get(sure, "")
    good = {"less": "▼ ", "more": "▲ "}.get(better or "")
    mark = "none" if not arrow or good is None else "fewer" if arrow == good else "more"
    value = words.signed(scale * difference.value, digits)
    return Cell(
        arrow + value, words.interval(difference, scale, digits, with_sign=True), difference.value, mark
    )


def enrichment(rate: Rate) -> Cell:
    """Share of the draws over the natural share; 1 = as often as chance."""
    if not rate.defined:
        return _undefined(rate)
    return Cell(f"{words.decimal(rate.value, 2)} ×", words.interval(rate, 1, 2), rate.value)


def known(value: float | None) -> Rate:
    """A share that is known without doubt."""
    if value is None or math.isnan(value):
        return ABSENT
    return Rate(value, math.nan, math.nan, 0)


def pairs(title: str, content: Mapping[str, Any]) -> Table:
    """Settings, nested ones under dotted names."""
    rows = [[name(key), Cell(text, sort=text, mark="code")] for key, text in _flat(content)]
    return Table(title, [Column("Name", numeric=False), Column("Value", numeric=False)], rows)


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, str):
            found.append((prefix + key, value))
        else:
            found.append((prefix + key, json.dumps(value, ensure_ascii=False)))
    return found


def _undefined(rate: Rate) -> Cell:
    return Cell("undefined", rate.reason or "", mark="undefined")
