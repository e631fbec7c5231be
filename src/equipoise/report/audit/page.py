"""The report of an audit: a record in, one self-contained page out. It asks the network for nothing."""

from __future__ import annotations

import functools
import itertools
import os
from pathlib import Path
from typing import Any

from equipoise.report.audit.groups import group_kinds, group_risks
from equipoise.report.audit.record import AUDIT, AuditRecord, RiskRecord
from equipoise.report.audit.slices import slices_page
from equipoise.report.audit.words import AUDIT_LIMITS, KIND_WORDS, audit_headline
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.confusion import called_matrix
from equipoise.report.parts.figures import Curve, Series
from equipoise.report.parts.page import Picture, picture, rendered, write_page
from equipoise.report.parts.tables import Cell, Column, Panel, Table
from equipoise.report.parts.words import Headline
from equipoise.report.parts.wrong import wrong_page

__all__ = ["audit_html", "write_audit_report"]

QUIET = figures.COLOURS[0]
FIRST = 0.05  # share kept from which on curves are drawn: below it, a few images make them jump


def audit_html(record: AuditRecord, folder: str | os.PathLike[str] | None = None) -> str:
    """The report as the text of one HTML file.

    Args:
        record: What the audit left behind.
        folder: Its folder, where the pictures lie. A picture that is not there is said to be missing.
    """
    page = _AuditPage(record, folder)
    title, sentences = audit_headline(record)
    return rendered(
        "audit.html.j2",
        record,
        headline=Headline(title, "unknown", sentences, ()),
        overview=page.overview(),
        slices=slices_page(record.slices, record.pictures, folder),
        confusion=called_matrix(record.model.title, record.called),
        wrong=wrong_page(record.wrong, folder),
        groups=group_risks(record, page.colours),
        group_kinds=group_kinds(record),
        risks=page.risks(),
        coverage=page.coverage(),
        coverage_legend=page.coverage_legend(),
        kinds=page.kinds(),
        examples=page.examples(),
        correlations=page.correlations(),
        facts=page.facts(),
        settings=[
            tables.pairs("Settings", record.settings),
            tables.pairs("Versions", record.versions),
        ],
        limits=AUDIT_LIMITS,
        kind_words=KIND_WORDS,
    )


def write_audit_report(folder: str | os.PathLike[str]) -> Path:
    """Render folder/audit.json and the pictures it names into folder/report.html, atomically.

    Raises:
        DataError: if there is no audit that can be read, or the folder cannot be written.
    """
    return write_page(folder, AUDIT, audit_html)


class _AuditPage:
    """The parts of the page, as tables, charts and pictures."""

    def __init__(self, record: AuditRecord, folder: str | os.PathLike[str] | None) -> None:
        self.record, self.folder = record, folder
        wheel, dashes = itertools.cycle(figures.COLOURS[1:]), itertools.cycle(figures.DASHES[1:])
        self.colours = dict(zip(record.risks, wheel, strict=False))
        self.dashes = dict(zip(record.risks, dashes, strict=False))

    def overview(self) -> Panel:
        """Score by score: the errors among the images that it ranks highest, what it is, and how well it finds them."""
        rows = [
            [
                tables.name(
                    one.title, colour=self.colours[name], tag="sees the label" if one.sees_label else ""
                ),
                Cell(one.kind, sort=one.kind),
                tables.spread(one.finds_errors, 3),
                tables.share(one.errors_in_top),
                tables.share(one.accuracy_by_decile[0]),
                tables.share(one.accuracy_by_decile[-1]),
            ]
            for name, one in self.record.risks.items()
        ]
        heads = [
            Column("Score", numeric=False),
            Column("Kind", numeric=False),
            Column("Finds errors, AUROC"),
            Column("Errors in the highest tenth"),
            Column("Accuracy, lowest tenth"),
            Column("Accuracy, highest tenth"),
        ]
        every = self.record.risks
        drawn = functools.partial(
            figures.bars,
            [one.title for one in every.values()],
            [
                Series(
                    "found",
                    [self.colours[name] for name in every],
                    [one.errors_in_top for one in every.values()],
                )
            ],
            label="share of all errors (%); dashed: like chance",
            title="Errors in the tenth that each score ranks highest",
            limit=1.0,
            chance=0.1,
            lead=True,
        )
        table = Table("How well each score finds errors", heads, rows)
        label = "Errors in the tenth of the images that each score ranks highest"
        return Panel.charted(label, table, drawn)

    def risks(self) -> list[dict[str, Any]]:
        """Score by score: both ends, accuracy by decile, and what rejection gains."""
        return [self._risk(name, one) for name, one in self.record.risks.items()]

    def _risk(self, name: str, one: RiskRecord) -> dict[str, Any]:
        parts = len(one.accuracy_by_decile)
        labels = [
            f"{i + 1}{', lowest' if i == 0 else ', highest' if i == parts - 1 else ''}" for i in range(parts)
        ]
        wrong = [rate.complement for rate in one.accuracy_by_decile]
        rows = [
            [Cell(label, sort=float(i)), tables.count(rate.n), tables.share(rate)]
            for i, (label, rate) in enumerate(zip(labels, one.accuracy_by_decile, strict=True))
        ]
        heads = [Column("Decile", numeric=False), Column("Images"), Column("Accuracy")]
        drawn = functools.partial(
            figures.bars,
            labels,
            [Series("wrong", self.colours[name], wrong)],
            label="wrong predictions (%)",
            title=f"Wrong predictions by decile of: {one.title}",
        )
        kept = [
            [
                Cell(f"{words.percent(float(share), 0)}", sort=float(share)),
                tables.count(rate.n),
                tables.share(rate),
            ]
            for share, rate in one.rejection.items()
        ]
        aside = [Column("Put aside", numeric=False), Column("Images kept"), Column("Accuracy of the rest")]
        return {
            "title": one.title,
            "kind": one.kind,
            "method": one.method,
            "sees_label": one.sees_label,
            "ends": [
                self._sheet(f"{name}_highest", "Highest", one.highest),
                self._sheet(f"{name}_lowest", "Lowest", one.lowest),
                *(
                    self._sheet(f"{name}_highest_{label}", f"Highest of label {label}", rows)
                    for label, rows in one.highest_of_label.items()
                ),
            ],
            "deciles": Panel.charted(
                "Accuracy by decile", Table(f"Accuracy by decile of: {one.title}", heads, rows), drawn
            ),
            "rejection": Table(f"Rejection by: {one.title}", aside, kept),
        }

    def _sheet(self, name: str, title: str, rows: list[int]) -> Picture:
        first = f" Rows of scores.parquet: {', '.join(map(str, rows))}." if rows else ""
        return picture(title, first.strip(), self.record.pictures.get(name), self.folder)

    def coverage(self) -> Panel:
        """All curves in one figure, and their areas."""
        drawn = {name: _from(one.coverage, one.error) for name, one in self.record.risks.items()}
        lines = [
            Curve(one.title, self.colours[name], self.dashes[name], *drawn[name])
            for name, one in self.record.risks.items()
            if not one.sees_label
        ]
        first = next(iter(self.record.risks.values()))
        ideal = [max(0.0, (c - 1 + first.random) / c) for c in first.coverage]
        lines += [
            Curve("like chance", QUIET, "dashed", [100 * FIRST, 100.0], [100 * first.random] * 2),
            Curve("ideal", QUIET, "dotted", *_from(first.coverage, ideal)),
        ]
        chart = figures.curves(
            lines, label="images kept (%)", side="wrong among them (%)", title="Risk–coverage curves"
        )
        rows = [
            [
                tables.name(
                    one.title, colour=self.colours[name], tag="sees the label" if one.sees_label else ""
                ),
                tables.spread(one.area, 3, scale=100),
                tables.spread(one.excess, 3, scale=100),
                tables.spread(one.gain, 2),
            ]
            for name, one in self.record.risks.items()
        ]
        foot = [
            [tables.name("like chance"), tables.number(100 * first.random, 3), Cell(""), Cell("0")],
            [tables.name("ideal"), tables.number(100 * first.ideal, 3), Cell("0"), Cell("1")],
        ]
        heads = [
            Column("Score", numeric=False),
            Column("Area (AURC), %"),
            Column("Above ideal, %"),
            Column("Gain"),
        ]
        return Panel(
            "Risk and coverage", Table("Areas under the risk–coverage curves", heads, rows, foot), chart
        )

    def coverage_legend(self) -> list[tuple[str, str]]:
        """Lines of the figure and their colours."""
        known = [
            (one.title, self.colours[name]) for name, one in self.record.risks.items() if not one.sees_label
        ]
        return [*known, ("like chance (dashed) and ideal (dotted)", QUIET)]

    def kinds(self) -> Table:
        """How many of each kind, and how often the model is right on them."""
        rows = [
            [
                tables.name(kind),
                Cell(_rule(kind, self.record.thresholds), mark="prose"),
                tables.count(round(one.share.value * one.share.n)),
                tables.share(one.share),
                tables.share(one.accuracy),
            ]
            for kind, one in self.record.kinds.items()
        ]
        heads = [
            Column("Kind", numeric=False),
            Column("Rule, the first that holds", numeric=False),
            Column("Images"),
            Column("Share"),
            Column("Accuracy"),
        ]
        return Table("Images by kind", heads, rows)

    def examples(self) -> list[Picture]:
        """The clearest examples of each kind."""
        return [
            self._sheet(f"kind_{kind.replace(' ', '_')}", kind.capitalize(), one.examples)
            for kind, one in self.record.kinds.items()
            if one.examples
        ]

    def correlations(self) -> Table | None:
        """Spearman's correlation of each pair of scores."""
        names = list(self.record.risks)
        if len(names) < 2:
            return None
        rows = []
        for name in names[:-1]:
            cells = [
                tables.spread(self.record.correlations[name][other], 2)
                if other in self.record.correlations.get(name, {})
                else Cell("")
                for other in names[1:]
            ]
            rows.append([tables.name(self.record.risks[name].title, colour=self.colours[name]), *cells])
        heads = [
            Column("Score", numeric=False),
            *(Column(self.record.risks[name].title, self.colours[name]) for name in names[1:]),
        ]
        return Table("Spearman’s correlation of scores", heads, rows)

    def facts(self) -> list[Table]:
        """Model, data and time."""
        record = self.record
        model = {
            "model": record.model.source,
            "task": record.model.task,
            "features": f"{record.model.features} from {record.model.layer}",
            "pictures": record.model.preprocessing,
            "accuracy with classes weighted equally": words.percent(record.model.balanced_accuracy.value),
            **{f"method {name}": f"{words.decimal(s, 1)} s" for name, s in record.timing.methods.items()},
            "whole audit": f"{words.decimal(record.timing.wall_s, 1)} s",
            "peak memory": f"{record.timing.peak_rss_bytes / 1e9:.2f} GB",
        }
        labels = list(dict.fromkeys(label for counts in record.data.labels.values() for label in counts))
        rows = [
            [
                tables.name(part),
                *(tables.count(counts.get(label, 0)) for label in labels),
                Cell(record.data.fingerprint.get(part, "–"), mark="code"),
            ]
            for part, counts in record.data.labels.items()
        ]
        heads = [
            Column("Part", numeric=False),
            *(Column(f"label {label}") for label in labels),
            Column("Fingerprint", numeric=False),
        ]
        return [
            tables.pairs("Model and time", model),
            tables.pairs("Sources", record.data.sources),
            Table("Images", heads, rows),
        ]


def _from(coverage: list[float], error: list[float]) -> tuple[list[float], list[float]]:
    """A curve in percent, without its first piece."""
    kept = [i for i, share in enumerate(coverage) if share >= FIRST]
    return [100 * coverage[i] for i in kept], [100 * error[i] for i in kept]


def _rule(kind: str, thresholds: dict[str, float]) -> str:
    if kind not in thresholds:
        return "none of the others"
    rest = {
        "bad picture": "by quality",
        "mislabelled": "by label noise, and another class is confidently predicted",
        "rare": "by representation risk",
        "hard": "by epistemic risk",
    }
    return f"highest {words.percent(1 - thresholds[kind], 0)} {rest.get(kind, '')}"
