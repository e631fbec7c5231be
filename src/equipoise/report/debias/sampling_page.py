"""What a page says of how one class was drawn: asked for, drawn, and counted."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from equipoise.report.debias.record import ResamplingRecord
from equipoise.report.debias.sampling_words import asked_for, counted_draws, strength
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.figures import Series
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs
from equipoise.report.parts.words import ABSENT

__all__ = ["class_sampling", "sampling_facts"]


def sampling_facts(made: ResamplingRecord, what: str) -> dict[str, Any]:
    """Shares before and after, with enrichment, for the template.

    Args:
        made: Of one class.
        what: What its images are called.
    """
    attributes = dict.fromkeys([*made.natural_share, *made.share, *made.enrichment])
    panels: list[tuple[str, Panel | Tabs]] = [(name, _panel(made, what, name)) for name in attributes]
    return {
        "what": what,
        "rule": made.rule,
        "representation": made.representation,
        "verdict": made.verdict,
        "verdict_at_half": made.verdict_at_half if panels and abs(strength(made) - 0.5) >= 0.005 else "",
        "negatives": None if made.negatives is None else sampling_facts(made.negatives, "negatives"),
        "ess": words.decimal(made.ess, 3),
        "ess_percent": words.percent(made.ess, 0),
        "max_weight": words.decimal(made.max_weight, 2),
        "asked": asked_for(made, what),
        "counted": counted_draws(made, what),
        "legend": list(zip(*_series(what), strict=True)),
        "tabs": Tabs("attribute", panels) if panels else None,
    }


def class_sampling(made: Mapping[str, ResamplingRecord]) -> Table | None:
    """How the images of each of many classes were drawn, the most unevenly drawn first; None if none was weighted."""
    attributes = dict.fromkeys(attribute for one in made.values() for attribute in one.enrichment)
    rows = [
        [
            tables.name(name),
            tables.count(one.images),
            tables.number(one.ess, 3),
            tables.number(one.max_weight, 2),
            *(_favoured(one, attribute) for attribute in attributes),
        ]
        for name, one in sorted(made.items(), key=lambda item: item[1].ess)
    ]
    heads = ["Images", "Effective sample size", "Largest weight"]
    heads += [f"Drawn most by {attribute}" for attribute in attributes]
    columns = [Column("Class", numeric=False), *map(Column, heads)]
    return tables.long_table("How the images of each class were drawn", columns, rows) if rows else None


def _favoured(made: ResamplingRecord, attribute: str) -> Cell:
    """The group that is drawn most over its natural share, and how often."""
    known = {group: rate for group, rate in made.enrichment.get(attribute, {}).items() if rate.defined}
    if not known:
        return Cell("–")
    group = max(known, key=lambda name: known[name].value)
    cell = tables.enrichment(known[group])
    return Cell(f"{group} {cell.text}", cell.sub, cell.sort)


def _series(what: str) -> tuple[tuple[str, str], tuple[str, ...]]:
    return (f"Share of the {what}", "Share of the draws"), tuple(figures.COLOURS[:2])


def _panel(made: ResamplingRecord, what: str, attribute: str) -> Panel:
    labels, colours = _series(what)
    shares = [made.natural_share.get(attribute, {}), made.share.get(attribute, {})]
    found, at_half = made.enrichment.get(attribute, {}), made.enrichment_at_half.get(attribute, {})
    meant = made.meant.enrichment.get(attribute, {}) if made.meant else {}
    counted = made.counted.share.get(attribute, {}) if made.counted else {}
    named = dict.fromkeys([*shares[0], *shares[1], *found])
    groups = sorted(named, key=functools.partial(_natural, shares[0]))
    series = [
        Series(label, colour, [tables.known(one.get(group)) for group in groups])
        for label, colour, one in zip(labels, colours, shares, strict=True)
    ]
    rows = [
        [
            tables.name(group),
            *(tables.share(one.rates[i], digits=2) for one in series),
            tables.enrichment(found.get(group, ABSENT)),
            _asked(meant[group].value if group in meant else math.nan),
            *([tables.share(tables.known(counted.get(group)), digits=2)] if made.counted else []),
            tables.enrichment(at_half.get(group, ABSENT)),
        ]
        for i, group in enumerate(groups)
    ]
    heads = [
        Column(attribute, numeric=False),
        *map(Column, labels, colours),
        Column("Enrichment"),
        Column("Asked"),
        *([Column("Counted in training")] if made.counted else []),
        Column("Enrichment at ESS 0.5"),
    ]
    drawn = functools.partial(
        figures.bars,
        groups,
        series,
        label="share (%)",
        title=f"Sampling share of {what} by {attribute}, before and after",
    )
    return Panel.charted(attribute, Table(f"Sampling share of {what} by {attribute}", heads, rows), drawn)


def _asked(value: float) -> Cell:
    return Cell("–") if math.isnan(value) else Cell(f"{words.decimal(value, 2)} ×", sort=value)


def _natural(shares: dict[str, float], group: str) -> float:
    return shares.get(group, 0.0)
