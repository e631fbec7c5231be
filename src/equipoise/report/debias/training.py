"""Training on a page: what was trained on, what each model is there for, its losses, and what the run cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from equipoise.report.debias.models import Shown
from equipoise.report.debias.record import DataRecord, TimingRecord
from equipoise.report.debias.words import explain
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.figures import Curve
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs

__all__ = ["controls", "losses", "timing", "trained"]

AXES = ("step", "epoch", "seconds")
FEW = 4  # classes that stand side by side


def trained(data: DataRecord) -> dict[str, Any]:
    """Sources, counts, fingerprints and groups, for the template."""
    splits = list(dict.fromkeys([*data.counts, *data.fingerprint, *data.group_counts]))
    kinds = list(dict.fromkeys(kind for counts in data.counts.values() for kind in counts))
    attributes = dict.fromkeys(a for counted in data.group_counts.values() for a in counted)
    panels: list[tuple[str, Panel | Tabs]] = []
    for attribute in attributes:
        counted = {split: data.group_counts.get(split, {}).get(attribute, {}) for split in splits}
        panels.append((attribute, _counted(attribute, {s: sizes for s, sizes in counted.items() if sizes})))
    return {
        "sources": tables.pairs("Sources", data.sources),
        "counts": _by_kind(data, splits, kinds) if len(kinds) <= FEW else _by_part(data, splits, kinds),
        "groups": Tabs("attribute", panels) if panels else None,
        "rejected": data.rejected,
    }


def _by_kind(data: DataRecord, splits: Sequence[str], kinds: Sequence[str]) -> Table:
    """A column a class."""
    rows = [
        [
            tables.name(split),
            *(tables.count(data.counts.get(split, {}).get(kind)) for kind in kinds),
            Cell(data.fingerprint.get(split, "–"), mark="code"),
        ]
        for split in splits
    ]
    columns = [Column("Part", numeric=False), *map(Column, kinds), Column("Fingerprint", numeric=False)]
    return Table("Images", columns, rows)


def _by_part(data: DataRecord, splits: Sequence[str], kinds: Sequence[str]) -> Table:
    """A row a class, the one with the fewest images first; the foot has all images and the fingerprints."""
    fewest = sorted(kinds, key=lambda kind: [data.counts.get(split, {}).get(kind, 0) for split in splits])
    rows = [
        [tables.name(kind), *(tables.count(data.counts.get(split, {}).get(kind)) for split in splits)]
        for kind in fewest
    ]
    foot = [
        [tables.name("All"), *(tables.count(sum(data.counts.get(split, {}).values())) for split in splits)],
        [
            tables.name("Fingerprint"),
            *(Cell(data.fingerprint.get(split, "–"), mark="code") for split in splits),
        ],
    ]
    columns = [Column("Class", numeric=False), *map(Column, splits)]
    return replace(tables.long_table("Images by class, fewest first", columns, rows, first=8), foot=foot)


def _counted(attribute: str, counted: Mapping[str, Mapping[str, int]]) -> Panel:
    """Positives of each group, part by part."""
    groups = dict.fromkeys(group for sizes in counted.values() for group in sizes)
    rows = [
        [
            tables.name(group),
            *(tables.count(sizes.get(group, 0), sum(sizes.values())) for sizes in counted.values()),
        ]
        for group in groups
    ]
    heads = [Column(attribute, numeric=False), *map(Column, counted)]
    return Panel(attribute, Table(f"Positives by {attribute}", heads, rows))


def controls(shown: Shown) -> Table:
    """Every model, and what it is there for."""
    rows = [
        [
            named,
            tables.name(model.role),
            Cell(explain(shown.record, name), mark="prose"),
            tables.count(model.steps),
            tables.number(model.seconds, 1),
        ]
        for name, named, model in zip(shown.names, shown.names_of_models(), shown.models, strict=True)
    ]
    columns = [Column(head, numeric=False) for head in ("Model", "Role", "What it is there for")]
    return Table("Models and controls", [*columns, Column("Steps"), Column("Training, s")], rows)


def losses(shown: Shown) -> list[Panel]:
    """A panel for each part of the loss, a line for each model that has it."""
    parts = dict.fromkeys(part for model in shown.models for part in model.history if part not in AXES)
    return [panel for part in parts if (panel := _loss(shown, part)) is not None]


def _loss(shown: Shown, part: str) -> Panel | None:
    lines, rows, label = [], [], "record"
    for model, named, dash in zip(shown.models, shown.names_of_models(), shown.dashes, strict=True):
        values = model.history.get(part, [])
        if not values:
            continue
        axis = next((k for k in ("step", "epoch") if len(model.history.get(k, [])) == len(values)), None)
        label = axis or label
        at = model.history[axis] if axis else [float(i + 1) for i in range(len(values))]
        lines.append(Curve(model.title, named.colour, dash, *figures.thinned(at, values)))
        finite = [value for value in values if math.isfinite(value)] or [math.nan]
        numbers = (values[0], min(finite), max(finite), values[-1])
        rows.append([named, *(tables.number(v, 4) for v in numbers), tables.count(len(values))])
    if not lines:
        return None
    title = part.replace("_", " ")
    heads = [Column(head) for head in ("First", "Lowest", "Highest", "Last", "Points")]
    table = Table(f"Curve of {title}", [Column("Model", numeric=False), *heads], rows)
    return Panel(title, table, figures.curves(lines, label=label, title=f"{title} during training"))


def timing(cost: TimingRecord) -> Table:
    """Cost of the run."""
    rows = [
        *([("Training steps a second", words.decimal(cost.steps_per_s, 1))] if cost.steps_per_s else []),
        ("Whole run, wall clock", words.duration(cost.wall_s)),
        ("Peak memory", f"{cost.peak_rss_bytes / 1e9:.2f} GB"),
    ]
    columns = [Column("What", numeric=False), Column("Value")]
    return Table("Timing", columns, [[tables.name(what), Cell(value)] for what, value in rows])
