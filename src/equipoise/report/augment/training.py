"""Training on a page: the classifiers, the images, sources and cost."""

from __future__ import annotations

from equipoise.report.augment.models import Shown
from equipoise.report.augment.record import AugmentRecord
from equipoise.report.augment.words import ROLE_WORDS
from equipoise.report.parts import tables, words
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs

__all__ = ["data", "sources", "trained"]


def trained(shown: Shown) -> Table:
    """Every model: what it is there for, and its cost."""
    rows = [
        [
            shown.model(i),
            Cell(ROLE_WORDS.get(model.role, ""), mark="prose"),
            Cell(model.sees or "never", mark="prose"),
            tables.number(model.threshold, 3),
            tables.count(model.steps),
            Cell(words.duration(model.seconds), sort=model.seconds),
        ]
        for i, model in enumerate(shown.models)
    ]
    heads = [
        *(Column(text, numeric=False) for text in ("Model", "What it is there for", "Is told the groups")),
        Column("Threshold"),
        Column("Steps"),
        Column("Training"),
    ]
    return Table("Models", heads, rows)


def data(shown: Shown) -> Tabs | None:
    """Attribute by attribute: images of each target in each group, part by part."""
    parts = shown.record.data.cells
    panels: list[tuple[str, Panel | Tabs]] = []
    for attribute in dict.fromkeys(name for one in parts.values() for name in one):
        held = {part: one[attribute] for part, one in parts.items() if attribute in one}
        groups = dict.fromkeys(group for one in held.values() for group in one)
        rows = [
            [
                tables.name(group),
                *(tables.count(n) for one in held.values() for n in one.get(group, [0, 0])),
            ]
            for group in groups
        ]
        heads = [Column(f"{part}, {shown.target(target)}") for part in held for target in (0, 1)]
        label = f"Images by {attribute}"
        panels.append(
            (attribute, Panel(label, Table(label, [Column(attribute, numeric=False), *heads], rows)))
        )
    return Tabs("attribute", panels) if panels else None


def sources(record: AugmentRecord) -> list[Table]:
    """What was given, and what the run cost."""
    whole = {
        "whole run": words.duration(record.wall_s),
        "peak memory": f"{record.peak_rss_bytes / 1e9:.2f} GB",
    }
    prints = {f"fingerprint of {part}": one for part, one in record.data.fingerprint.items()}
    return [tables.pairs("Sources", {**record.data.sources, **prints}), tables.pairs("Cost", whole)]
