"""The report of `augment`: a record in, one self-contained page out. It asks the network for nothing."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from equipoise.files import write_text
from equipoise.rate import Rate
from equipoise.report.augment.record import (
    AttributeChange,
    AttributeNumbers,
    AugmentedModel,
    AugmentRecord,
    CellRecord,
    read_augment,
)
from equipoise.report.augment.words import (
    AUGMENT_LIMITS,
    EDITS_HIDDEN,
    MEASURES,
    ROLE_WORDS,
    Measure,
    augment_headline,
    cell_name,
    change_of,
    leading,
    measured_of,
)
from equipoise.report.debias.page import Picture, duration, picture, template
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.figures import Series, Steps
from equipoise.report.parts.tables import ABSENT, Cell, Column, Panel, Table, Tabs
from equipoise.report.parts.versioned import fitting

__all__ = ["augment_html", "write_augment_report"]

GROUP_COLOURS = tuple(figures.COLOURS[i] for i in (1, 5, 3, 4, 2, 6, 0))
CLOSE = 0.8  # |cosine| with the target's hyperplane from which on the page warns
SUMMARY = ("worst_cell_accuracy", "deo", "ap")
SIDES = {1: "positives", 0: "negatives"}


def augment_html(record: AugmentRecord, folder: str | os.PathLike[str] | None = None) -> str:
    """The report as the text of one HTML file.

    Args:
        record: What augment left behind.
        folder: Its folder, where the pictures lie. A picture that is not there is said to be missing.
    """
    page = _AugmentPage(record, folder)
    return template("augment.html.j2").render(
        record=record,
        next_id=itertools.count().__next__,
        headline=augment_headline(record),
        protected=", ".join(record.protected) or "nothing",
        summary=page.summary(),
        roles={model.role: ROLE_WORDS.get(model.role, "") for model in record.models.values()},
        measures=MEASURES,
        metrics=page.metrics(),
        changes=page.changes(),
        cells=page.cells(),
        scores=page.scores(),
        planes=page.planes(),
        edits=page.edits(),
        pairs=page.pairs(),
        protected_table=page.protected(),
        generator=page.generator(),
        samples=[page.picture("samples")],
        edited=[page.picture("edits")] if "edits" in record.pictures else [],
        edits_hidden=EDITS_HIDDEN,
        trained=page.trained(),
        data=page.data(),
        sources=page.sources(),
        settings=[tables.pairs("Settings", record.settings), tables.pairs("Versions", record.versions)],
        limits=AUGMENT_LIMITS,
    )


def write_augment_report(folder: str | os.PathLike[str]) -> Path:
    """Render folder/augment.json and the pictures it names into folder/report.html, atomically.

    Raises:
        DataError: if there is no record that can be read, or the folder cannot be written.
    """
    target = Path(folder) / "report.html"
    record = read_augment(folder)
    with fitting(Path(folder) / "augment.json"):
        text = augment_html(record, folder)
    write_text(target, text)
    return target


class _AugmentPage:
    """The parts of the page, as tables, charts and pictures."""

    def __init__(self, record: AugmentRecord, folder: str | os.PathLike[str] | None) -> None:
        self.record, self.folder = record, folder
        self.models = list(record.models.values())
        self.titles = [model.title for model in self.models]
        self.plain, self.lead = leading(record)
        wheel = itertools.cycle(figures.COLOURS[2:])
        own = {self.plain: figures.COLOURS[0], self.lead: figures.COLOURS[1]}
        self.colours = [own.get(name) or next(wheel) for name in record.models]
        self.compared = [
            (model, colour) for model, colour in zip(self.models, self.colours, strict=True) if model.changes
        ]

    def summary(self) -> Panel | None:
        """The headline in numbers: worst cell, DEO and AP by the first attribute, model by model."""
        if not self.models or not self.record.measured:
            return None
        attribute = self.record.measured[0]
        shown = [one for one in MEASURES if one.key in SUMMARY]
        rates = [measured_of(model, attribute, SUMMARY[0]) for model in self.models]
        rows = [
            [self._model(i), *(_number(model, attribute, one) for one in shown)]
            for i, model in enumerate(self.models)
        ]
        label = f"Worst cell by {attribute}, model by model"
        chart = figures.bars(
            self.titles,
            [Series("accuracy", self.colours, rates)],
            label=f"accuracy in the worst cell by {attribute} (%)",
            title=label,
        )
        heads = [Column("Model", numeric=False), *map(_head, shown)]
        return Panel(label, Table(label, heads, rows), chart)

    def metrics(self) -> Tabs | None:
        """Attribute by attribute: every number of every model."""
        return self._by_attribute(self._metrics)

    def _metrics(self, attribute: str) -> Panel:
        rows = [
            [
                self._model(i),
                *(_number(model, attribute, one) for one in MEASURES),
                Cell(_worst(model.numbers.get(attribute)), mark="prose"),
            ]
            for i, model in enumerate(self.models)
        ]
        heads = [
            Column("Model", numeric=False),
            *map(_head, MEASURES),
            Column("Which cell is worst", numeric=False),
        ]
        return Panel(attribute, Table(f"Numbers by {attribute}", heads, rows))

    def changes(self) -> Tabs | None:
        """Attribute by attribute, measure by measure: a model minus the plain one, paired."""
        return self._by_attribute(self._changes) if self.compared else None

    def _changes(self, attribute: str) -> Tabs:
        panels: list[tuple[str, Panel | Tabs]] = []
        for one in MEASURES:
            rates = [change_of(model, attribute, one.key) for model, _ in self.compared]
            rows = [
                [
                    self._model(self.models.index(model)),
                    _number(model, attribute, one),
                    tables.change(rate, one.digits, scale=one.scale, better=one.better),
                ]
                for (model, _), rate in zip(self.compared, rates, strict=True)
            ]
            unit = "nats" if one.unit == "nats" else "points"
            label = f"{one.name} by {attribute}, change"
            chart = figures.differences(
                [model.title for model, _ in self.compared],
                [Series(one.name, [colour for _, colour in self.compared], rates)],
                label=f"{one.name} against plain, {unit} ({one.direction})",
                title=label,
                scale=one.scale,
            )
            heads = [Column("Model", numeric=False), _head(one), Column(f"Against plain, {unit}")]
            panels.append((one.name, Panel(label, Table(label, heads, rows), chart, one.meaning)))
        return Tabs("measure", panels)

    def cells(self) -> Tabs | None:
        """Attribute by attribute: accuracy of every cell, and its change."""
        return self._by_attribute(
            lambda attribute: Tabs(
                "cells", [("Accuracy", self._accuracy(attribute)), ("Change", self._cell_changes(attribute))]
            )
        )

    def _accuracy(self, attribute: str) -> Panel:
        cells = self._cells(attribute)
        found = [self._of_cells(model.numbers.get(attribute), cells) for model in self.models]
        lowest = [
            min((rate.value for rate in rates if rate.defined), default=None)
            if numbers is not None and numbers.worst_cell is not None
            else None
            for rates, numbers in zip(
                found, (model.numbers.get(attribute) for model in self.models), strict=True
            )
        ]
        rows = [
            [
                self._cell(cell),
                tables.count(cell.n),
                *(
                    tables.share(rates[i], worst=rates[i].defined and rates[i].value == low)
                    for rates, low in zip(found, lowest, strict=True)
                ),
            ]
            for i, cell in enumerate(cells)
        ]
        label = f"Accuracy of the cells by {attribute}"
        chosen = [i for i, name in enumerate(self.record.models) if name in (self.plain, self.lead)]
        chart = figures.bars(
            [self._cell(cell).text for cell in cells],
            [Series(self.titles[i], self.colours[i], found[i]) for i in chosen],
            label="accuracy (%)",
            title=label,
        )
        heads = [Column("Cell", numeric=False), Column("n"), *map(Column, self.titles, self.colours)]
        drawn = " and ".join(f"“{self.titles[i]}”" for i in chosen)
        return Panel(label, Table(label, heads, rows), chart, f"Drawn: {drawn}.")

    def _cell_changes(self, attribute: str) -> Panel:
        cells = self._cells(attribute)
        found = [self._of_cells(model.changes.get(attribute), cells) for model, _ in self.compared]
        rows = [
            [
                self._cell(cell),
                tables.count(cell.n),
                *(tables.change(rates[i], better="more") for rates in found),
            ]
            for i, cell in enumerate(cells)
        ]
        label = f"Change of the cells’ accuracy by {attribute}, points"
        lead = [
            (model.title, colour, rates)
            for (model, colour), rates in zip(self.compared, found, strict=True)
            if model is self.record.models.get(self.lead or "")
        ]
        chart = ""
        if lead:
            chart = figures.differences(
                [self._cell(cell).text for cell in cells],
                [Series(*one) for one in lead],
                label="change of the accuracy, points (higher is better)",
                title=label,
            )
        heads = [
            Column("Cell", numeric=False),
            Column("n"),
            *(Column(model.title, colour) for model, colour in self.compared),
        ]
        return Panel(label, Table(label, heads, rows), chart, f"Drawn: “{lead[0][0]}”." if lead else "")

    def scores(self) -> Tabs | None:
        """Attribute by attribute, model by model: where the groups' scores lie."""
        return self._by_attribute(
            lambda attribute: Tabs(
                "model", [(model.title, self._scores(attribute, model)) for model in self.models]
            )
        )

    def _scores(self, attribute: str, model: AugmentedModel) -> Panel:
        numbers = model.numbers.get(attribute)
        cells = numbers.cells if numbers else []
        groups = list(dict.fromkeys(cell.group for cell in cells))
        colours = dict(zip(groups, itertools.cycle(GROUP_COLOURS), strict=False))
        dashes = dict(zip(groups, itertools.cycle(figures.DASHES[1:]), strict=False))
        rows = []
        for cell in cells:
            called = cell.accuracy if cell.target else cell.accuracy.complement
            row = self._cell(cell, colours[cell.group])
            rows.append([row, tables.count(cell.n), tables.share(called)])
        label = f"Scores of {model.title} by {attribute}"
        heads = [Column("Cell", numeric=False), Column("n"), Column(f"Called {self.record.target}")]
        chart = ""
        if numbers and numbers.histograms:
            panels = {
                f"{name}: {self._target(target)}": [
                    Steps(group, colours[group], dashes[group], counts)
                    for group, counts in numbers.histograms.get(name, {}).items()
                    if group in colours
                ]
                for target, name in SIDES.items()
            }
            chart = figures.histograms(
                self.record.edges,
                panels,
                label=f"score: probability of {self.record.target}",
                title=label,
                threshold=model.threshold,
            )
        note = f"Threshold {words.decimal(model.threshold, 3)}."
        return Panel(label, Table(label, heads, rows), chart, note)

    def planes(self) -> Table:
        """How well each hyperplane separates, and whether it stands apart from the target's."""
        target, rows = self.record.target, []
        for name, plane in self.record.planes.items():
            cosine = self.record.pairs.cosines.get(name)
            close = name != target and cosine is not None and abs(cosine) >= CLOSE
            rows.append(
                [
                    tables.name(
                        name,
                        tag="nearly the target’s" if close else "",
                        quiet=("target",) if name == target else (),
                    ),
                    tables.spread(plane.auroc, 3),
                    tables.share(plane.accuracy),
                    tables.share(tables.known(plane.share)),
                    Cell("–") if name == target else tables.number(cosine, 2),
                ]
            )
        heads = [
            Column("Hyperplane of", numeric=False),
            Column("AUROC"),
            Column("Accuracy"),
            Column("Generated images on its positive side"),
            Column(f"Cosine with that of {target}"),
        ]
        return Table("How well the hyperplanes separate", heads, rows)

    def edits(self) -> Table:
        """What the edits did, in the eyes of the classifiers."""
        found = self.record.pairs
        wanted = {True: "changes", False: "stays"}
        rows = [
            [tables.name(self.record.target), Cell("stays"), tables.share(found.target_kept.complement)],
            *(
                [tables.name(name), Cell(wanted[name in self.record.protected]), tables.share(rate)]
                for name, rate in found.changed.items()
            ),
            [tables.name("both"), Cell("as meant"), tables.share(found.as_meant)],
        ]
        heads = [
            Column("Attribute", numeric=False),
            Column("Wanted", numeric=False),
            Column("Pairs that changed side, or are as meant"),
        ]
        return Table("What the edits did", heads, rows)

    def pairs(self) -> Table:
        """How many pairs, and how."""
        found = self.record.pairs
        return tables.pairs(
            "Pairs",
            {
                "pairs trained on": f"{found.count:,}",
                "which": "those that are as meant" if found.keep == "as-meant" else "all",
                "variant": found.variant,
                "generated, of the images trained on": words.percent(found.share),
                "folder": found.table,
            },
        )

    def protected(self) -> Table:
        """Which sides the pairs differ in, and who says so."""
        rows = [
            [
                tables.name(name, quiet=("annotated" if one.found == "annotated" else "discovered",)),
                Cell(" | ".join(one.sides), mark="prose"),
                Cell(one.found, mark="prose"),
                Cell(
                    "; ".join(f"{other} {words.decimal(v, 2)}" for other, v in one.agreement.items()) or "–",
                    mark="prose",
                ),
                tables.share(one.classifier_accuracy),
            ]
            for name, one in self.record.protected.items()
        ]
        heads = [
            *(
                Column(text, numeric=False)
                for text in ("Protected", "Sides, negative | positive", "Known from", "Agreement, Cramér’s V")
            ),
            Column("Accuracy of f_g, cells counting equally"),
        ]
        return Table("Protected attributes", heads, rows)

    def generator(self) -> Table:
        """Where generated images are from."""
        one = self.record.generator
        made = {
            "source": one.source,
            "trained": "by this run" if one.trained_here else "before, elsewhere",
            "steps": "not recorded" if one.steps is None else f"{one.steps:,}",
            "training": "not recorded" if one.seconds is None else duration(one.seconds),
            "latents": f"{one.latent} numbers",
            "images": f"{one.image_size}×{one.image_size}",
        }
        return tables.pairs("Generator", made)

    def picture(self, name: str) -> Picture:
        """A picture of the run."""
        title, caption = {
            "samples": (
                "Samples",
                "Images that the generator drew, not chosen.",
            ),
            "edits": (
                "Edited images",
                "Pairs: what the generator drew, and its edit. Asked for by --show-edits; they show what was trained "
                "on, and nothing about anybody.",
            ),
        }[name]
        return picture(title, caption, self.record.pictures.get(name), self.folder)

    def trained(self) -> Table:
        """Every model: what it is there for, and its cost."""
        rows = [
            [
                self._model(i),
                Cell(ROLE_WORDS.get(model.role, ""), mark="prose"),
                Cell(model.sees or "never", mark="prose"),
                tables.number(model.threshold, 3),
                tables.count(model.steps),
                Cell(duration(model.seconds), sort=model.seconds),
            ]
            for i, model in enumerate(self.models)
        ]
        heads = [
            *(
                Column(text, numeric=False)
                for text in ("Model", "What it is there for", "Is told the groups")
            ),
            Column("Threshold"),
            Column("Steps"),
            Column("Training"),
        ]
        return Table("Models", heads, rows)

    def data(self) -> Tabs | None:
        """Attribute by attribute: images of each target in each group, part by part."""
        parts = self.record.data.cells
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
            heads = [Column(f"{part}, {self._target(target)}") for part in held for target in (0, 1)]
            label = f"Images by {attribute}"
            panels.append(
                (attribute, Panel(label, Table(label, [Column(attribute, numeric=False), *heads], rows)))
            )
        return Tabs("attribute", panels) if panels else None

    def sources(self) -> list[Table]:
        """What was given, and what the run cost."""
        record = self.record
        whole = {
            "whole run": duration(record.wall_s),
            "peak memory": f"{record.peak_rss_bytes / 1e9:.2f} GB",
        }
        prints = {f"fingerprint of {part}": one for part, one in record.data.fingerprint.items()}
        return [tables.pairs("Sources", {**record.data.sources, **prints}), tables.pairs("Cost", whole)]

    def _by_attribute(self, made: Callable[[str], Panel | Tabs]) -> Tabs | None:
        if not self.models or not self.record.measured:
            return None
        return Tabs("attribute", [(attribute, made(attribute)) for attribute in self.record.measured])

    def _model(self, i: int) -> Cell:
        """A model's name with its role, and what it must be told."""
        model = self.models[i]
        quiet = [model.role] if model.role != model.title else []
        quiet += ["groups in training"] if model.sees == "in training" else []
        needs = "needs groups in use" if model.sees.endswith("in use") else ""
        return tables.name(model.title, colour=self.colours[i], quiet=quiet, tag=needs)

    def _target(self, target: int) -> str:
        return self.record.target if target else f"not {self.record.target}"

    def _cell(self, cell: CellRecord, colour: str = "") -> Cell:
        small = "under 30 images" if cell.small else ""
        return tables.name(cell_name(self.record.target, cell), colour=colour, tag=small)

    def _cells(self, attribute: str) -> list[CellRecord]:
        """The cells of an attribute, as the first model that has them lists them."""
        return next((m.numbers[attribute].cells for m in self.models if attribute in m.numbers), [])

    @staticmethod
    def _of_cells(
        found: AttributeNumbers | AttributeChange | None, cells: Sequence[CellRecord]
    ) -> list[Rate]:
        """Rates of these cells, in this order."""
        rates = {(cell.target, cell.group): cell.accuracy for cell in (found.cells if found else [])}
        return [rates.get((cell.target, cell.group), ABSENT) for cell in cells]


def _head(measure: Measure) -> Column:
    return Column(f"{measure.name}, {measure.unit} ({measure.direction})")


def _number(model: AugmentedModel, attribute: str, measure: Measure) -> Cell:
    return tables.spread(measured_of(model, attribute, measure.key), measure.digits, scale=measure.scale)


def _worst(numbers: AttributeNumbers | None) -> str:
    return numbers.worst_cell or "–" if numbers else "–"
