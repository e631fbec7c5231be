"""The models of a record, in the order in which people read them, and what shows them apart."""

from __future__ import annotations

from collections.abc import Mapping

from equipoise.fairness import Evaluation, WorstGroup
from equipoise.fairness.operating import AT_FPR, AT_THRESHOLD
from equipoise.rate import Rate
from equipoise.report.debias.record import ModelRecord, RunRecord
from equipoise.report.parts import figures, tables, words
from equipoise.report.parts.tables import Cell, Column
from equipoise.report.parts.words import ABSENT

__all__ = [
    "NEARLY_ALL",
    "POINTS",
    "Shown",
    "at",
    "attributes_of",
    "called",
    "main_models",
    "main_point",
    "ordered_groups",
    "ordered_models",
    "points_of",
    "rate_of",
    "threshold_of",
    "where",
    "worst_of",
]

POINTS = {AT_FPR: "tpr_at_fpr", AT_THRESHOLD: "tpr"}
"""Operating point → the share of positives found there, in `Evaluation` and in `GroupNumbers`."""
NEARLY_ALL = 0.95  # where every group is missed so often, no chart of misses tells groups apart


def ordered_models(record: RunRecord) -> list[str]:
    """Names of the models as people read them: the baseline, plain, debiased, then the controls."""
    rank = {"plain": 0, "debiased": 1}
    compared = record.comparisons or record.class_comparisons
    baseline = compared.baseline if compared else None
    return sorted(
        record.models, key=lambda name: -1 if name == baseline else rank.get(record.models[name].role, 2)
    )


def main_models(record: RunRecord) -> tuple[str | None, str | None]:
    """The baseline, and the model that is held against it: the debiased one, else the first one compared."""
    names = ordered_models(record)
    roles = [record.models[name].role for name in names]
    plain = names[roles.index("plain")] if "plain" in roles else None
    debiased = names[roles.index("debiased")] if "debiased" in roles else None
    found = record.comparisons or record.class_comparisons
    compared = [name for name in names if found and found.baseline in names and name in found.differences]
    if not found or not compared:
        return plain, debiased
    return found.baseline, debiased if debiased in compared else compared[0]


def called(model: ModelRecord, *, start: bool = True) -> str:
    """A model in a sentence, at its start or within it."""
    the = "The" if start else "the"
    return f"{the} {model.title} model" if model.title in ("plain", "debiased") else f"“{model.title}”"


def points_of(record: RunRecord) -> tuple[str, ...]:
    """Operating points that there are, the one to be judged at first.

    Without negatives no rate can be matched. Where every model misses nearly all of every group at the matched rate
    and not at the threshold, the latter comes first: the former tells no groups apart.
    """
    found = [model.numbers for model in record.models.values() if model.numbers is not None]
    if found and not any(numbers.negatives for numbers in found):
        return (AT_THRESHOLD,)
    missed = {
        point: all(_least_missed(one, key) > NEARLY_ALL for one in found) for point, key in POINTS.items()
    }
    blind = bool(found) and missed[AT_FPR] and not missed[AT_THRESHOLD]
    return (AT_THRESHOLD, AT_FPR) if blind else (AT_FPR, AT_THRESHOLD)


def _least_missed(numbers: Evaluation, key: str) -> float:
    """The share missed of the group that is missed least, of all positives without groups; 0 where nothing is known."""
    groups = [getattr(group, key) for of in numbers.groups.values() for group in of.values()]
    rates: list[Rate] = [rate for rate in [getattr(numbers, key), *groups] if rate.defined]
    return min((1 - rate.value for rate in rates), default=0.0)


def main_point(record: RunRecord) -> str:
    """The operating point at which models are judged."""
    return points_of(record)[0]


def threshold_of(record: RunRecord) -> str:
    """The threshold of the first operating point; the control that moves it has one of its own."""
    found = (
        model.numbers.threshold
        for name, model in record.models.items()
        if name != "threshold-only" and model.numbers is not None
    )
    return f"{next(found, 0.5):g}"


def attributes_of(record: RunRecord) -> list[str]:
    """Attributes that any model was measured by."""
    models = (record.models[name] for name in ordered_models(record))
    return list(
        dict.fromkeys(name for model in models if model.numbers is not None for name in model.numbers.groups)
    )


def ordered_groups(record: RunRecord, attribute: str) -> list[str]:
    """Groups of an attribute: those that the first model finds least first, the undefined last."""
    models = [record.models[name] for name in ordered_models(record)]
    groups = dict.fromkeys(group for model in models for group in model.detection.groups.get(attribute, {}))

    def rank(group: str) -> tuple[bool, float]:
        rate = rate_of(models[0], attribute, group, POINTS[main_point(record)])
        return (False, rate.value) if rate.defined else (True, 0.0)

    return sorted(groups, key=rank)


def rate_of(model: ModelRecord, attribute: str, group: str, key: str) -> Rate:
    """A number of a group, or that it was not recorded; `key` is a field of `GroupNumbers`."""
    found: Rate = getattr(model.detection.groups.get(attribute, {}).get(group), key, ABSENT)
    return found


def worst_of(model: ModelRecord, attribute: str, point: str) -> WorstGroup:
    """The worst group of an attribute at an operating point, or that it was not recorded."""
    return model.detection.worst_group.get(attribute, {}).get(point, {"group": None, "tpr": ABSENT})


def at(rates: Mapping[str, Mapping[str, Rate]], attribute: str, point: str) -> Rate:
    """One of the numbers by attribute and operating point, or that it was not recorded."""
    return rates.get(attribute, {}).get(point, ABSENT)


def where(record: RunRecord, point: str) -> str:
    """An operating point in words."""
    return f"{words.asked(record.fpr)} FPR" if point == AT_FPR else f"threshold {threshold_of(record)}"


class Shown:
    """The models on a page: in order, each with its title, colour and dash, and the cells that name groups."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.names = ordered_models(record)
        self.models = [record.models[name] for name in self.names]
        self.titles = [model.title for model in self.models]
        self.baseline, self.debiased = main_models(record)
        free = iter(range(2, 99))
        places = [
            0 if name == self.baseline else 1 if name == self.debiased else next(free) for name in self.names
        ]
        self.colours = [figures.COLOURS[place % len(figures.COLOURS)] for place in places]
        self.dashes = [figures.DASHES[place % len(figures.DASHES)] for place in places]
        self.attributes = attributes_of(record)
        self.points = points_of(record)
        self.judged = where(record, self.points[0])
        self.threshold = threshold_of(record)
        self.windows = bool(record.settings.get("windows"))
        self.whole = AT_FPR in self.points  # positives and negatives

    def legend(self, *, trained: bool = False) -> list[tuple[str, str]]:
        """Titles and colours; only of models that have curves of their training, if asked for."""
        every = zip(self.models, self.titles, self.colours, strict=True)
        return [(title, colour) for model, title, colour in every if model.history or not trained]

    def title(self, name: str | None) -> str:
        """What people read for a model."""
        return self.record.models[name].title if name in self.record.models else name or "the baseline"

    def names_of_models(self) -> list[Cell]:
        """A cell a model, in its colour."""
        return [
            tables.name(title, colour=colour) for title, colour in zip(self.titles, self.colours, strict=True)
        ]

    def heads(self, attribute: str) -> list[Column]:
        """Columns of a table with a row a group: the group, its positives, a column a model."""
        return [*self.group_heads(attribute), *map(Column, self.titles, self.colours)]

    @staticmethod
    def group_heads(attribute: str) -> list[Column]:
        """Heads of `group_cells`."""
        return [Column(attribute, numeric=False), Column("positives")]

    def group_cells(self, attribute: str, group: str) -> list[Cell]:
        """A group's name, and how many of its positives the models were tested on."""
        found = [
            model.detection.groups[attribute][group]
            for model in self.models
            if group in model.detection.groups.get(attribute, {})
        ]
        small = any(one.small for one in found)
        return [
            tables.name(group, tag="under 30 positives" if small else ""),
            tables.count(found[0].positives if found else None),
        ]
