"""The report: a record in, one self-contained page out. It asks the network for nothing."""

from __future__ import annotations

import base64
import functools
import itertools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.files import read_bytes, write_text
from equipoise.rate import Rate
from equipoise.report.debias.record import (
    ComparisonRecord,
    GroupRecord,
    ModelRecord,
    RunRecord,
    read,
)
from equipoise.report.debias.sampling_page import sampling_facts
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.figures import Curve, Series
from equipoise.report.parts.tables import ABSENT, Cell, Column, Panel, Table, Tabs
from equipoise.report.parts.versioned import fitting
from equipoise.shown import harmless

if TYPE_CHECKING:
    import jinja2

__all__ = ["Picture", "duration", "html", "picture", "template", "write_report"]

RATES = {"at_fpr": "tpr_at_fpr", "at_0.5": "tpr"}
PICTURES = {
    "reconstructions": ("Reconstructions", "Test pictures, each above what the autoencoder keeps of it."),
    "least_represented": (
        "Least represented",
        "Training positives whose combination of features is rarest: drawn most often.",
    ),
    "most_represented": (
        "Most represented",
        "Training positives with the most alike in the training data: drawn least often.",
    ),
}
MOST_PICTURE = 64 << 20  # bytes
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A picture of the run as a data URI, or the reason why it is not there."""

    title: str
    caption: str
    uri: str | None
    missing: str = ""


def html(record: RunRecord, folder: str | os.PathLike[str] | None = None) -> str:
    """The report as the text of one HTML file.

    Args:
        record: What the run left behind.
        folder: The run's folder, where the pictures lie. A picture that is not there is said to be missing.
    """
    page = _Page(record)
    return template("report.html.j2").render(
        record=record,
        next_id=itertools.count().__next__,
        headline=words.headline(record),
        summary=page.summary(),
        legend=list(zip(page.titles, page.colours, strict=True)),
        overall=page.overall(),
        saturated=words.saturated(record),
        trained=page.trained(),
        groups=page.groups(),
        comparisons=page.comparisons(),
        controls=page.controls(),
        losses=page.losses(),
        reconstructions=[_picture(record, folder, "reconstructions")] if _rebuilds(record) else [],
        extremes=[_picture(record, folder, name) for name in ("least_represented", "most_represented")],
        more_pictures=[_picture(record, folder, name) for name in record.pictures if name not in PICTURES],
        sampling=page.sampling(),
        trained_here=any(model.steps for model in record.models.values()),
        timing=page.timing(),
        settings=[
            tables.pairs("Recipe", record.recipe),
            tables.pairs("Settings", record.settings),
            tables.pairs("Versions", record.versions),
        ],
        does_not_prove=words.DOES_NOT_PROVE,
        fpr=words.asked(record.fpr),
        recipe=str(record.recipe.get("name", "unnamed")),
    )


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Render folder/record.json and the pictures it names into folder/report.html, atomically.

    Raises:
        DataError: if there is no record that can be read, or the folder cannot be written.
    """
    target = Path(folder) / "report.html"
    record = read(Path(folder))
    with fitting(Path(folder) / "record.json"):
        text = html(record, folder)
    write_text(target, text)
    return target


class _Page:
    """The parts of the page, as tables and charts."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.names = words.ordered_models(record)
        self.models = [record.models[name] for name in self.names]
        self.titles = [model.title for model in self.models]
        self.baseline, self.debiased = words.main_models(record)
        free = iter(range(2, 99))
        places = [
            0 if name == self.baseline else 1 if name == self.debiased else next(free) for name in self.names
        ]
        self.colours = [figures.COLOURS[place % len(figures.COLOURS)] for place in places]
        self.dashes = [figures.DASHES[place % len(figures.DASHES)] for place in places]
        self.attributes = list(dict.fromkeys(a for model in self.models for a in model.groups))
        self.matched = f"{words.asked(record.fpr)} FPR"

    def summary(self) -> Panel | None:
        """The worst group of the first attribute, model by model: the headline in numbers."""
        if not self.models:
            return None
        attribute = next(iter(self.models[0].worst_group), None)
        rates, rows = [], []
        for i, (name, model) in enumerate(zip(self.names, self.models, strict=True)):
            compared = self.record.comparisons.get(name)
            if attribute is None:
                group, rate = "all positives", model.tpr_at_fpr.complement
                difference = compared.tpr_at_fpr if compared else ABSENT
            else:
                worst = model.worst_group.get(attribute, {}).get("at_fpr")
                group, rate = (worst.group or "–", worst.tpr.complement) if worst else ("–", ABSENT)
                difference = (
                    compared.worst_group.get(attribute, {}).get("at_fpr", ABSENT) if compared else ABSENT
                )
            rates.append(rate)
            changed = tables.change(words.flipped(difference))
            if compared is None:
                changed = Cell("baseline" if name == self.baseline else "not compared")
            rows.append(
                [
                    tables.name(model.title, colour=self.colours[i]),
                    tables.name(group),
                    tables.share(rate),
                    changed,
                ]
            )
        whom = f"worst group by {attribute}" if attribute else "all positives"
        chart = figures.bars(
            self.titles,
            [Series("missed", self.colours, rates)],
            label=f"missed at {self.matched} (%)",
            title=f"Misses of the {whom}, model by model",
        )
        heads = [Column("Model", numeric=False), Column("Group", numeric=False), Column("Missed")]
        if self.record.comparisons:
            heads.append(Column(f"Against {self._title(self.baseline)}, points"))
        else:
            rows = [row[:3] for row in rows]
        return Panel(f"Misses of the {whom} at {self.matched}", Table(f"Summary: {whom}", heads, rows), chart)

    def overall(self) -> Table:
        """Numbers over all test images."""
        heads = [
            f"Missed at {self.matched}",
            "Missed at 0.5",
            "False positives at 0.5",
            "Accuracy at 0.5",
            "AUROC",
            f"Threshold at {self.matched}",
        ]
        rows = [
            [
                tables.name(model.title, colour=colour),
                tables.share(model.tpr_at_fpr.complement),
                tables.share(model.tpr.complement),
                tables.share(model.fpr),
                tables.share(model.accuracy),
                tables.spread(model.auroc, 4),
                tables.number(model.threshold_at_fpr, 4),
            ]
            for model, colour in zip(self.models, self.colours, strict=True)
        ]
        columns = [Column("Model", numeric=False), *(Column(head) for head in heads)]
        return Table("All test images", columns, rows)

    def trained(self) -> dict[str, Any]:
        """Sources, counts, fingerprints, groups."""
        data = self.record.data
        splits = list(dict.fromkeys([*data.counts, *data.fingerprint, *data.group_counts]))
        kinds = list(dict.fromkeys(kind for counts in data.counts.values() for kind in counts))
        rows = [
            [
                tables.name(split),
                *(tables.count(data.counts.get(split, {}).get(kind)) for kind in kinds),
                Cell(data.fingerprint.get(split, "–"), mark="code"),
            ]
            for split in splits
        ]
        columns = [Column("Part", numeric=False), *map(Column, kinds), Column("Fingerprint", numeric=False)]
        panels: list[tuple[str, Panel | Tabs]] = []
        for attribute in dict.fromkeys(a for counted in data.group_counts.values() for a in counted):
            counted = {s: data.group_counts.get(s, {}).get(attribute, {}) for s in splits}
            counted = {split: sizes for split, sizes in counted.items() if sizes}
            groups = dict.fromkeys(group for sizes in counted.values() for group in sizes)
            body = [
                [
                    tables.name(group),
                    *(tables.count(n.get(group, 0), sum(n.values())) for n in counted.values()),
                ]
                for group in groups
            ]
            heads = [Column(attribute, numeric=False), *map(Column, counted)]
            panels.append((attribute, Panel(attribute, Table(f"Positives by {attribute}", heads, body))))
        return {
            "sources": tables.pairs("Sources", data.sources),
            "counts": Table("Images", columns, rows),
            "groups": Tabs("attribute", panels) if panels else None,
            "rejected": data.rejected,
        }

    def groups(self) -> Tabs | None:
        """Attribute by attribute: four measures, each a chart beside its numbers."""
        if not self.attributes:
            return None
        return Tabs("attribute", [(a, Tabs("measure", self._measures(a))) for a in self.attributes])

    def _measures(self, attribute: str) -> list[tuple[str, Panel | Tabs]]:
        groups = words.ordered_groups(self.record, attribute)
        missed = {
            point: [
                Series(title, colour, [self._rate(m, attribute, g, rate).complement for g in groups])
                for m, title, colour in zip(self.models, self.titles, self.colours, strict=True)
            ]
            for point, rate in RATES.items()
        }
        limit = figures.highest([one for series in missed.values() for one in series])
        panels = []
        for point, series in missed.items():
            where = self._where(point)
            rows = [
                [
                    *self._group_cells(attribute, group),
                    *(
                        tables.share(one.rates[i], worst=_worst(model, attribute, point) == group)
                        for model, one in zip(self.models, series, strict=True)
                    ),
                ]
                for i, group in enumerate(groups)
            ]
            note = (
                "Share of a group's positives that are not found; lower is better. Each model's threshold is "
                f"the one at which it calls {words.asked(self.record.fpr)} of the negatives positive, so "
                "that none gains by saying yes more often."
                if point == "at_fpr"
                else "Share of a group's positives that are not found; lower is better. With one threshold "
                "for all, a model that says yes more often misses less and pays in false positives."
            )
            chart = figures.bars(
                groups,
                series,
                label=f"missed at {where} (%)",
                title=f"Miss rate by {attribute} at {where}",
                limit=limit,
            )
            table = Table(
                f"Miss rate by {attribute} at {where}",
                self._heads(attribute),
                rows,
                self._foot(attribute, point),
            )
            panels.append((f"Missed at {where}", Panel(f"Missed at {where}", table, chart, note)))
        probabilities = [
            Series(
                title, colour, [self._rate(model, attribute, group, "mean_probability") for group in groups]
            )
            for model, title, colour in zip(self.models, self.titles, self.colours, strict=True)
        ]
        chart = figures.bars(
            groups,
            probabilities,
            label="mean probability",
            title=f"Mean probability by {attribute}",
            percent=False,
            limit=1.0,
        )
        panels += [
            self._measure(
                attribute,
                "mean_probability",
                "Mean probability",
                3,
                "Mean probability that a model gives to a group's positives.",
                chart,
            ),
            self._measure(
                attribute,
                "auroc",
                "AUROC",
                4,
                "How well a group's positives are told from all negatives, over every threshold; "
                "0.5 = chance, 1 = always.",
            ),
        ]
        return [(label, panel) for label, panel in panels]

    def _measure(
        self, attribute: str, rate: str, label: str, digits: int, note: str, chart: str = ""
    ) -> tuple[str, Panel]:
        rows = [
            [
                *self._group_cells(attribute, group),
                *(tables.spread(self._rate(model, attribute, group, rate), digits) for model in self.models),
            ]
            for group in words.ordered_groups(self.record, attribute)
        ]
        return label, Panel(
            label, Table(f"{label} by {attribute}", self._heads(attribute), rows), chart, note
        )

    def comparisons(self) -> dict[str, Any] | None:
        """Paired differences against the baseline."""
        compared = {
            name: self.record.comparisons[name] for name in self.names if name in self.record.comparisons
        }
        if not compared:
            return None
        baselines = list(dict.fromkeys(c.baseline for c in compared.values()))
        heads = []
        for name, c in compared.items():
            against = f" against {self._title(c.baseline)}" if len(baselines) > 1 else ""
            i = self.names.index(name)
            heads.append(Column(self.titles[i] + against, self.colours[i]))
        every = list(compared.values())
        overall = [
            [
                tables.name(f"Missed at {self.matched}"),
                *(tables.change(words.flipped(c.tpr_at_fpr)) for c in every),
            ],
            [tables.name("Missed at 0.5"), *(tables.change(words.flipped(c.tpr)) for c in every)],
            [tables.name("False positives at 0.5"), *(tables.change(c.fpr) for c in every)],
            [tables.name("Accuracy at 0.5"), *(tables.change(c.accuracy, better="more") for c in every)],
            [tables.name("AUROC × 100"), *(tables.change(c.auroc, 2, better="more") for c in every)],
        ]
        tabs = [
            (a, Tabs("point", [self._differences(a, point, every, heads) for point in RATES]))
            for a in self.attributes
        ]
        return {
            "against": ", ".join(self._title(name) for name in baselines),
            "overall": Table(
                "Change over all test images, percentage points",
                [Column("Measure", numeric=False), *heads],
                overall,
            ),
            "tabs": Tabs("attribute", tabs) if tabs else None,
        }

    def _differences(
        self, attribute: str, point: str, compared: Sequence[ComparisonRecord], heads: Sequence[Column]
    ) -> tuple[str, Panel]:
        where = self._where(point)
        groups = words.ordered_groups(self.record, attribute)

        def difference(c: ComparisonRecord, group: str) -> Rate:
            found = c.groups.get(attribute, {}).get(group)
            return ABSENT if found is None else words.flipped(getattr(found, RATES[point]))

        def foot(label: str, pick: Callable[[ComparisonRecord], Cell]) -> list[Cell]:
            return [tables.name(label), Cell(""), *map(pick, compared)]

        def of(kind: dict[str, dict[str, Rate]]) -> Rate:
            return kind.get(attribute, {}).get(point, ABSENT)

        series = [
            Series(head.text, head.colour, [difference(c, group) for group in groups])
            for c, head in zip(compared, heads, strict=True)
        ]
        rows = [
            [*self._group_cells(attribute, group), *(tables.change(one.rates[i]) for one in series)]
            for i, group in enumerate(groups)
        ]
        table = Table(
            f"Change of the miss rate by {attribute} at {where}, percentage points",
            [Column(attribute, numeric=False), Column("n"), *heads],
            rows,
            [
                foot("Worst group", lambda c: tables.change(words.flipped(of(c.worst_group)))),
                foot("Gap, max − min, points", lambda c: tables.change(of(c.gap))),
                foot("Variance, percent²", lambda c: tables.change(of(c.variance), 2, scale=1.0)),
            ],
        )
        chart = figures.differences(
            groups,
            series,
            label=f"change of misses at {where}, points (left = fewer)",
            title=f"Change of the miss rate by {attribute} at {where}",
        )
        return f"At {where}", Panel(f"At {where}", table, chart)

    def controls(self) -> Table:
        """Every model, and what it is there for."""
        rows = [
            [
                tables.name(model.title, colour=colour),
                tables.name(model.role),
                Cell(words.explain(name, model), mark="prose"),
                tables.count(model.steps),
                tables.number(model.seconds, 1),
            ]
            for name, model, colour in zip(self.names, self.models, self.colours, strict=True)
        ]
        columns = [Column(head, numeric=False) for head in ("Model", "Role", "What it is there for")]
        return Table("Models and controls", [*columns, Column("Steps"), Column("Training, s")], rows)

    def losses(self) -> list[Panel]:
        """A panel for each part of the loss, a line for each model that has it."""
        axes = ("step", "epoch", "seconds")
        parts = dict.fromkeys(part for model in self.models for part in model.history if part not in axes)
        return [panel for part in parts if (panel := self._loss(part)) is not None]

    def _loss(self, part: str) -> Panel | None:
        lines, rows, label = [], [], "record"
        for model, colour, dash in zip(self.models, self.colours, self.dashes, strict=True):
            values = model.history.get(part, [])
            if not values:
                continue
            axis = next((k for k in ("step", "epoch") if len(model.history.get(k, [])) == len(values)), None)
            label = axis or label
            at = model.history[axis] if axis else [float(i + 1) for i in range(len(values))]
            lines.append(Curve(model.title, colour, dash, *figures.thinned(at, values)))
            finite = [value for value in values if math.isfinite(value)] or [math.nan]
            numbers = (values[0], min(finite), max(finite), values[-1])
            rows.append(
                [
                    tables.name(model.title, colour=colour),
                    *(tables.number(v, 4) for v in numbers),
                    tables.count(len(values)),
                ]
            )
        if not lines:
            return None
        title = part.replace("_", " ")
        heads = [Column(head) for head in ("First", "Lowest", "Highest", "Last", "Points")]
        table = Table(f"Curve of {title}", [Column("Model", numeric=False), *heads], rows)
        return Panel(title, table, figures.curves(lines, label=label, title=f"{title} during training"))

    def sampling(self) -> dict[str, Any] | None:
        """Shares before and after, with enrichment."""
        made = self.record.resampling
        return None if made is None else sampling_facts(made, "positives")

    def timing(self) -> Table:
        """Cost of the run."""
        timing = self.record.timing
        rows = [
            ("Training steps a second", words.decimal(timing.steps_per_s, 1)),
            ("Whole run, wall clock", duration(timing.wall_s)),
            ("Peak memory", f"{timing.peak_rss_bytes / 1e9:.2f} GB"),
        ]
        columns = [Column("What", numeric=False), Column("Value")]
        return Table("Timing", columns, [[tables.name(what), Cell(value)] for what, value in rows])

    @staticmethod
    def _rate(model: ModelRecord, attribute: str, group: str, rate: str) -> Rate:
        found = model.groups.get(attribute, {}).get(group)
        return getattr(found, rate, ABSENT)

    def _heads(self, attribute: str) -> list[Column]:
        return [Column(attribute, numeric=False), Column("n"), *map(Column, self.titles, self.colours)]

    def _group_cells(self, attribute: str, group: str) -> list[Cell]:
        found: list[GroupRecord] = [
            model.groups[attribute][group]
            for model in self.models
            if group in model.groups.get(attribute, {})
        ]
        small = any(one.small for one in found)
        return [
            tables.name(group, tag="under 30 images" if small else ""),
            tables.count(found[0].n if found else None),
        ]

    def _foot(self, attribute: str, point: str) -> list[list[Cell]]:
        def row(label: str, pick: Callable[[ModelRecord], Cell]) -> list[Cell]:
            return [tables.name(label), Cell(""), *map(pick, self.models)]

        def worst(model: ModelRecord) -> Cell:
            found = model.worst_group.get(attribute, {}).get(point)
            if found is None or found.group is None:
                return tables.share(found.tpr if found else ABSENT)
            return Cell(found.group, tables.share(found.tpr.complement).text)

        def total(model: ModelRecord) -> Cell:
            rate: Rate = getattr(model, RATES[point])
            return tables.share(rate.complement)

        def of(kind: dict[str, dict[str, Rate]]) -> Rate:
            return kind.get(attribute, {}).get(point, ABSENT)

        return [
            row("All positives", total),
            row("Worst group", worst),
            row("Gap, max − min, points", lambda m: tables.spread(of(m.gap), 1, scale=100.0)),
            row("Variance, percent²", lambda m: tables.spread(of(m.variance), 2)),
        ]

    def _where(self, point: str) -> str:
        return self.matched if point == "at_fpr" else "threshold 0.5"

    def _title(self, name: str | None) -> str:
        return self.record.models[name].title if name in self.record.models else name or "the baseline"


def _worst(model: ModelRecord, attribute: str, point: str) -> str | None:
    found = model.worst_group.get(attribute, {}).get(point)
    return found.group if found else None


def duration(seconds: float) -> str:
    """Seconds as somebody would say them: 3725 → "1 h 2 min"."""
    if not math.isfinite(seconds) or seconds < 60:
        return f"{words.decimal(seconds, 1)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _rebuilds(record: RunRecord) -> bool:
    """Whether the debiased model has an autoencoder, whose pictures should be there."""
    return record.recipe.get("objective") != "classifier"


def _picture(record: RunRecord, folder: str | os.PathLike[str] | None, name: str) -> Picture:
    title, caption = PICTURES.get(name, (name.replace("_", " "), ""))
    return picture(title, caption, record.pictures.get(name), folder)


def picture(title: str, caption: str, file: str | None, folder: str | os.PathLike[str] | None) -> Picture:
    """A PNG file of a run's folder for the page, or why it is not there.

    Args:
        title: What people read; `caption` below it.
        file: Relative to `folder`; None if none was made.
        folder: The run's folder; None if the page is rendered without it.
    """
    if file is None:
        return Picture(title, caption, None, "This run made no such picture.")
    if folder is None:
        return Picture(
            title, caption, None, f"The picture {file} is missing: rendered without the run's folder."
        )
    path = Path(folder) / file
    try:
        inside = path.resolve().is_relative_to(Path(folder).resolve())
        content = read_bytes(path, most=MOST_PICTURE) if inside else b""
    except (OSError, ValueError):
        return Picture(title, caption, None, f"The picture {file} is missing from the run's folder.")
    if not content.startswith(PNG):
        return Picture(
            title, caption, None, f"{file} is left out: it is not a PNG picture of the run's folder."
        )
    return Picture(title, caption, "data:image/png;base64," + base64.b64encode(content).decode())


@functools.cache
def template(name: str) -> jinja2.Template:
    """A page's template; its figures are trusted, all other text is escaped."""
    import jinja2
    from markupsafe import Markup

    folder = Path(__file__).parents[1] / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: harmless(value) if type(value) is str else value,  # before it is escaped
    )
    environment.globals["own"] = {
        name: Markup((folder / name).read_text(encoding="utf-8")) for name in ("report.css", "report.js")
    }
    environment.filters["drawn"] = Markup  # figures.py escapes what it draws
    environment.tests["tabs"] = lambda value: isinstance(value, Tabs)
    return environment.get_template(name)
