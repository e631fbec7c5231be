"""An audit by group: how much at risk its images are, how often they are called right, and of which kind they are."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from equipoise.report.audit.record import AuditRecord
from equipoise.report.audit.words import ENRICHMENT, KIND_WORDS
from equipoise.report.parts import figures, tables
from equipoise.report.parts.figures import Series
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs
from equipoise.report.parts.words import ABSENT

__all__ = ["group_kinds", "group_risks"]


def group_risks(record: AuditRecord, colours: Mapping[str, str]) -> Tabs | None:
    """Attribute by attribute, score by score: mean percentile of each group, and its difference to the others."""
    if not record.groups:
        return None
    return Tabs(
        "attribute",
        [
            (
                attribute,
                Tabs(
                    "risk",
                    [
                        (one.title, _risks(record, colours, attribute, name))
                        for name, one in record.risks.items()
                    ],
                ),
            )
            for attribute in record.groups
        ],
    )


def _risks(record: AuditRecord, colours: Mapping[str, str], attribute: str, name: str) -> Panel:
    found, risk = record.groups[attribute], record.risks[name]
    verdict = record.verdicts.get(attribute, {}).get(name)
    rows = [
        [
            _group(record, attribute, group),
            tables.count(one.n),
            tables.spread(one.percentile[name], 1, scale=100),
            tables.change(one.difference[name]),
            *([tables.enrichment(one.enrichment.get(name, ABSENT))] if verdict else []),
        ]
        for group, one in found.items()
    ]
    heads = [
        Column(attribute, numeric=False),
        Column("Images"),
        Column("Mean percentile"),
        Column("Against the others, points"),
        *([Column("Enrichment at ESS 0.5")] if verdict else []),
    ]
    label = f"{risk.title}, by {attribute}"
    drawn = functools.partial(
        figures.differences,
        list(found),
        [Series(risk.title, colours[name], [one.difference[name] for one in found.values()])],
        label="mean percentile against the others, points (right = more at risk)",
        title=label,
    )
    note = f"{risk.kind}: {KIND_WORDS.get(risk.kind, '')}."
    note = f"{note} {ENRICHMENT} {verdict}" if verdict else note
    return Panel.charted(label, Table(label, heads, rows), drawn, note)


def group_kinds(record: AuditRecord) -> Tabs | None:
    """Attribute by attribute: accuracy, and the share of each kind."""
    if not record.groups:
        return None
    kinds = list(record.kinds)
    panels = []
    for attribute, found in record.groups.items():
        rows = [
            [
                _group(record, attribute, group),
                tables.count(one.n),
                tables.share(one.accuracy),
                *(tables.share(one.kinds[kind]) for kind in kinds),
            ]
            for group, one in found.items()
        ]
        heads = [Column(attribute, numeric=False), *map(Column, ("Images", "Accuracy", *kinds))]
        label = f"Accuracy and kinds by {attribute}"
        panels.append((attribute, Panel(label, Table(label, heads, rows))))
    return Tabs("attribute", panels)


def _group(record: AuditRecord, attribute: str, group: str) -> Cell:
    small = record.groups[attribute][group].small
    return tables.name(group, tag="under 30 images" if small else "")
