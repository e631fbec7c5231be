"""The models of a record on a page: titles, colours, and cells that name models and cells of groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from equipoise import fairness
from equipoise.fairness import AttributeDifference, AttributeMetrics
from equipoise.rate import Rate
from equipoise.report.augment.measures import cell_name, leading, metrics_of
from equipoise.report.augment.record import AugmentRecord
from equipoise.report.parts import figures, tables
from equipoise.report.parts.tables import Cell, Panel, Tabs
from equipoise.report.parts.words import ABSENT

__all__ = ["Shown", "accuracies"]


class Shown:
    """The models on a page, in the order of the record."""

    def __init__(self, record: AugmentRecord) -> None:
        self.record = record
        self.models = list(record.models.values())
        self.titles = [model.title for model in self.models]
        self.plain, self.lead = leading(record)
        wheel = itertools.cycle(figures.COLOURS[2:])
        own = {self.plain: figures.COLOURS[0], self.lead: figures.COLOURS[1]}
        self.colours = [own.get(name) or next(wheel) for name in record.models]
        self.compared = [
            (model, colour) for model, colour in zip(self.models, self.colours, strict=True) if model.changes
        ]

    def by_attribute(self, made: Callable[[str], Panel | Tabs]) -> Tabs | None:
        """A tab for each attribute that was measured; None without numbers."""
        if not self.models or not self.record.measured:
            return None
        return Tabs("attribute", [(attribute, made(attribute)) for attribute in self.record.measured])

    def model(self, i: int) -> Cell:
        """A model's name with its role, and what it must be told."""
        model = self.models[i]
        quiet = [model.role] if model.role != model.title else []
        quiet += ["groups in training"] if model.sees == "in training" else []
        needs = "needs groups in use" if model.sees.endswith("in use") else ""
        return tables.name(model.title, colour=self.colours[i], quiet=quiet, tag=needs)

    def target(self, target: int) -> str:
        """What images with this target are called."""
        return self.record.target if target else f"not {self.record.target}"

    def cell(self, cell: fairness.Cell, colour: str = "") -> Cell:
        """The name of a cell."""
        small = "under 30 images" if cell.small else ""
        return tables.name(cell_name(self.record.target, cell), colour=colour, tag=small)

    def cells(self, attribute: str) -> Sequence[fairness.Cell]:
        """The cells of an attribute, as the first model that has them lists them."""
        found = (metrics_of(model, attribute) for model in self.models)
        return next((one.cells for one in found if one is not None), ())


def accuracies(
    found: AttributeMetrics | AttributeDifference | None, cells: Sequence[fairness.Cell]
) -> list[Rate]:
    """Accuracies of these cells, in this order."""
    rates = {(cell.target, cell.group): cell.accuracy for cell in (found.cells if found else ())}
    return [rates.get((cell.target, cell.group), ABSENT) for cell in cells]
