"""Classes on a page: which are called right how often, what for they are taken, and in which groups; worst first."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from equipoise.fairness import ClassComparison, ClassEvaluation
from equipoise.fairness.class_counts import FREQUENT, Mistakes
from equipoise.rate import Rate
from equipoise.report.parts import figures, tables
from equipoise.report.parts.confusion import MATRIX_CLASSES
from equipoise.report.parts.figures import Series
from equipoise.report.parts.tables import Cell, Column, Panel, Table, Tabs
from equipoise.report.parts.words import ABSENT, decimal, flipped, interval

__all__ = [
    "LEAST",
    "Classes",
    "by_class",
    "class_groups",
    "class_harms",
    "class_summary",
    "confusions",
    "is_the_class",
    "overall_classes",
    "worst_first",
]

Key = TypeVar("Key")

CHARTED = 12  # rows of a chart, those that are seen at once
LEAST = "The interval of the worst allows for which one is the worst, so it is wider than that of one of them alone."
LED = 8  # rows of the chart that a page begins with
NONE_RIGHT = (
    "In the worst cell of each model none is called right. The chart shows first the cells that are bad beyond doubt: "
    "by the upper end of the first model's interval."
)
RECALL = (
    "Share of a class's images that are called so (recall); higher is better. First those that are bad beyond doubt: "
    "by the upper end of the first model's interval."
)


@dataclass(frozen=True)
class Classes:
    """The models of a page that have numbers by class.

    Args:
        names: Of the models.
        titles: What people read for each.
        colours: That of each.
        numbers: Of each.
        main: Place of the model that the page is about.
        compared: The others against the baseline, if they were compared.
    """

    names: Sequence[str]
    titles: Sequence[str]
    colours: Sequence[str]
    numbers: Sequence[ClassEvaluation]
    main: int = 0
    compared: ClassComparison | None = None

    @property
    def attributes(self) -> list[str]:
        """Attributes that classes were looked at by, but for the class itself."""
        named = dict.fromkeys(attribute for one in self.numbers for attribute in one.groups)
        return [name for name in named if not is_the_class(self.numbers[0], name)]

    def both_grouped(self, attribute: str) -> bool:
        """Whether two classes or more have images in groups of the attribute that are known and compared."""
        first = self.numbers[0]
        unknown = first.not_compared.get(attribute, ())
        found = {
            name for group, of in first.groups[attribute].items() if group not in unknown for name in of.cells
        }
        return len(found) > 1

    @property
    def equally_many(self) -> bool:
        """Whether every class has as many images, so that balanced accuracy is accuracy."""
        return len({rate.n for one in self.numbers for rate in one.recall.values()}) == 1

    def title(self, name: str) -> str:
        """What people read for a model, which may be none of these."""
        return self.titles[list(self.names).index(name)] if name in self.names else name

    def heads(self) -> list[Column]:
        """A column a model."""
        return list(map(Column, self.titles, self.colours))

    def model_cells(self) -> list[Cell]:
        """A name a model, in its colour."""
        return [
            tables.name(title, colour=colour) for title, colour in zip(self.titles, self.colours, strict=True)
        ]

    def series(self, rates: Sequence[Sequence[Rate]]) -> list[Series]:
        """A bar a model, of its rates."""
        return [Series(*one) for one in zip(self.titles, self.colours, rates, strict=True)]

    def worst_cell(self, place: int, attribute: str) -> tuple[str, Rate]:
        """The cell of class and group that a model is right in least often, in words, and how often."""
        found = self.numbers[place].worst_cell.get(attribute)
        if found is None or found["class"] is None:
            return "–", ABSENT if found is None else found["recall"]
        return f"{found['class']} × {found['group']}", found["recall"]


def is_the_class(numbers: ClassEvaluation, attribute: str) -> bool:
    """Whether the groups of an attribute are the classes, of which cells say no more."""
    return all(set(group.cells) <= {name} for name, group in numbers.groups[attribute].items())


def class_harms(compared: ClassComparison | None, name: str) -> list[str]:
    """What a model is measurably worse in over all images, or in the worst class, in words."""
    change = None if compared is None else compared.differences.get(name)
    if change is None:
        return []
    every = [("accuracy", change.accuracy), ("balanced accuracy", change.balanced_accuracy)]
    return [
        f"{what} fell by {decimal(-100 * one.value)} points ({interval(flipped(one))})"
        for what, one in [*every, ("recall of the worst class", change.worst_class)]
        if one.defined and one.high < 0
    ]


def worst_first(keys: Sequence[Key], rate: Callable[[Key], Rate]) -> list[Key]:
    """Those that are bad beyond doubt first: by the upper end of the interval, undefined ones last.

    By the shares themselves, cells of one or two images would stand in front of all others.
    """
    return sorted(keys, key=lambda key: (not rate(key).defined, rate(key).high if rate(key).defined else 0.0))


def class_summary(classes: Classes) -> Panel:
    """The worst cell of the first attribute, or the worst class, model by model: the headline in numbers.

    Where no model is right on any image of its worst cell, bars have no length; then the cells are drawn.
    """
    attribute = next(iter(classes.attributes), None)
    worst = [
        classes.worst_cell(place, attribute)
        if attribute
        else (one.worst_class["class"] or "–", one.worst_class["recall"])
        for place, one in enumerate(classes.numbers)
    ]
    whom = f"worst cell, class × {attribute}" if attribute else "worst class"
    rows = [
        [named, tables.name(cell), tables.share(rate), tables.share(one.accuracy)]
        for named, (cell, rate), one in zip(classes.model_cells(), worst, classes.numbers, strict=True)
    ]
    heads = [Column("Model", numeric=False), Column("Where", numeric=False), Column("Called right")]
    heads.append(Column("Accuracy"))
    drawn = functools.partial(
        figures.bars,
        classes.titles,
        [Series("called right", classes.colours, [rate for _, rate in worst])],
        label="called right (%)",
        title=f"Accuracy in the {whom}, model by model",
        limit=1.0,
        lead=True,
    )
    table = Table(f"Summary: {whom}", heads, rows)
    if attribute and not any(rate.defined and rate.value for _, rate in worst):
        drawn = functools.partial(_draw_cells, classes, attribute, LED, lead=True)
        title = f"Right by class and {attribute}, worst first"
        table = replace(_cell_table(classes, attribute), folded=[], left_out="")
        panel = Panel.charted(title, replace(table, rows=table.rows[:LED]), drawn, NONE_RIGHT)
        return replace(panel, legend=list(zip(classes.titles, classes.colours, strict=True)))
    return Panel.charted(f"Accuracy in the {whom}", table, drawn, LEAST)


def overall_classes(classes: Classes) -> Table:
    """Numbers over all test images."""
    balanced = not classes.equally_many  # else it is the accuracy, whose interval is the better one
    heads = ["Accuracy", *(["Balanced accuracy"] if balanced else []), "Worst class"]
    heads += [f"Worst cell, class × {attribute}" for attribute in classes.attributes]
    rows = []
    for place, (named, one) in enumerate(zip(classes.model_cells(), classes.numbers, strict=True)):
        row = [named, tables.share(one.accuracy)]
        row += [tables.share(one.balanced_accuracy)] if balanced else []
        row.append(_where(one.worst_class["class"], one.worst_class["recall"]))
        row += [_where(*classes.worst_cell(place, attribute)) for attribute in classes.attributes]
        rows.append(row)
    return Table("Accuracy over all test images", [Column("Model", numeric=False), *map(Column, heads)], rows)


def _where(name: str | None, rate: Rate) -> Cell:
    """A share, and below it where it is; an undefined one with its reason."""
    cell = tables.share(rate)
    if not rate.defined:
        return cell
    return Cell(cell.text, f"{name}, {cell.sub}" if cell.sub else str(name), cell.sort)


def by_class(classes: Classes) -> Panel:
    """Recall of every class, model by model, those that the first model is right in least often first."""
    first = classes.numbers[0]
    order = worst_first(first.classes, lambda name: first.recall[name])
    recalls = [[one.recall.get(name, ABSENT) for name in order] for one in classes.numbers]
    rows = [
        [
            _class_cell(name, first.recall[name].n),
            tables.count(first.recall[name].n),
            *(tables.share(rates[i]) for rates in recalls),
            *(tables.share(one.precision.get(name, ABSENT)) for one in classes.numbers[:1]),
        ]
        for i, name in enumerate(order)
    ]
    heads = [Column("Class", numeric=False), Column("Images"), *classes.heads()]
    heads.append(Column(f"Precision, {classes.titles[0]}", classes.colours[0]))
    charted = [rates[:CHARTED] for rates in recalls]
    more = f" The chart shows the {CHARTED} worst of {len(order)}." if len(order) > CHARTED else ""
    drawn = functools.partial(
        figures.bars,
        order[:CHARTED],
        classes.series(charted),
        label="called right (%)",
        title="Recall of classes, worst first",
        limit=1.0,
    )
    note = f"{RECALL} Precision: share of what is called so that is so.{more}"
    table = tables.long_table("Recall by class", heads, rows)
    return Panel.charted("Recall by class", table, drawn, note)


def _class_cell(name: str, images: int) -> Cell:
    return tables.name(name, tag="under 30 images" if images < 30 else "")


def confusions(classes: Classes) -> Table | None:
    """What the images of the worst classes are taken for, by the model that the page is about; None if for nothing, and
    of so few classes that a matrix says it."""
    place = classes.main
    one = classes.numbers[place]
    if len(one.classes) <= MATRIX_CLASSES:
        return None
    rows = [
        [
            tables.name(name),
            _wrong(one.confusion[name], one.recall[name].n),
            Cell(_listed(one.confusion[name]), mark="prose"),
        ]
        for name in worst_first(list(one.confusion), lambda name: one.recall[name])
    ]
    heads = [Column("Class", numeric=False), Column("Wrong"), Column("Taken for", numeric=False)]
    title = f"What images are taken for by “{classes.titles[place]}”"
    return tables.long_table(title, heads, rows) if rows else None


def _wrong(mistakes: Mistakes, images: int) -> Cell:
    return tables.count(sum(mistakes["taken_for"].values()) + mistakes["other"], images)


def _listed(mistakes: Mistakes) -> str:
    taken = list(mistakes["taken_for"].items())
    told = [f"{name} {count:,}" for name, count in taken[:FREQUENT]]
    other = mistakes["other"] + sum(count for _, count in taken[FREQUENT:])
    return ", ".join([*told, *([f"others {other:,}"] if other else [])])


def _mistakes(classes: Classes, attribute: str) -> Panel:
    place = classes.main
    rows = [
        [
            tables.name(f"{cell['class']} × {cell['group']}"),
            tables.share(cell["recall"]),
            _wrong(cell["mistakes"], cell["recall"].n),
            Cell(_listed(cell["mistakes"]), mark="prose"),
        ]
        for cell in classes.numbers[place].failing[attribute]
    ]
    heads = [Column(f"Class × {attribute}", numeric=False), *map(Column, ("Called right", "Wrong"))]
    title = f"What images of the worst cells are taken for by “{classes.titles[place]}”"
    return Panel(
        "Mistakes", tables.long_table(title, [*heads, Column("Taken for", numeric=False)], rows, most=20)
    )


def class_groups(classes: Classes) -> Tabs | None:
    """Attribute by attribute: accuracy of groups, cells of class and group, worst first, and their mistakes."""
    found: list[tuple[str, Panel | Tabs]] = []
    for attribute in classes.attributes:
        panels = [of(classes, attribute) for of in (_groups, _cells, _mistakes)]
        found.append((attribute, Tabs("measure", [(panel.label, panel) for panel in panels])))
    return Tabs("attribute", found) if found else None


def _groups(classes: Classes, attribute: str) -> Panel:
    first = classes.numbers[0].groups[attribute]
    order = worst_first(list(first), lambda group: first[group].accuracy)
    accuracies = [[_group(one, attribute, group) for group in order] for one in classes.numbers]
    worst = [one.worst_group[attribute]["group"] for one in classes.numbers]
    rows = [
        [
            tables.name(group, tag="under 30 images" if first[group].small else ""),
            tables.count(first[group].n),
            *(
                tables.share(rates[i], worst=of_model == group)
                for rates, of_model in zip(accuracies, worst, strict=True)
            ),
        ]
        for i, group in enumerate(order)
    ]
    heads = [Column(attribute, numeric=False), Column("Images"), *classes.heads()]
    foot = [
        [tables.name("Gap, max − min, points"), Cell("")]
        + [tables.spread(one.gap[attribute], 1, scale=100.0) for one in classes.numbers]
    ]
    table = replace(tables.long_table(f"Accuracy by {attribute}", heads, rows), foot=foot)
    drawn = functools.partial(
        figures.bars,
        order[:CHARTED],
        classes.series([rates[:CHARTED] for rates in accuracies]),
        label="called right (%)",
        title=f"Accuracy by {attribute}",
        limit=1.0,
    )
    note = "Share of a group's images whose class is called right; higher is better. A group's classes may be unlike."
    return Panel.charted("Groups", table, drawn, note)


def _group(one: ClassEvaluation, attribute: str, group: str) -> Rate:
    found = one.groups.get(attribute, {}).get(group)
    return ABSENT if found is None else found.accuracy


def _ordered_cells(classes: Classes, attribute: str) -> list[tuple[str, str]]:
    """Cells of class and group, those that the first model is right in least often first."""
    of = {group: found.cells for group, found in classes.numbers[0].groups[attribute].items()}
    cells = [(name, group) for group, rates in of.items() for name in rates]
    return worst_first(cells, lambda cell: of[cell[1]][cell[0]])


def _draw_cells(
    classes: Classes, attribute: str, most: int, *, lead: bool = False, narrow: bool = False
) -> str:
    """The chart of the worst cells, model by model."""
    order = _ordered_cells(classes, attribute)[:most]
    return figures.bars(
        [f"{name} × {group}" for name, group in order],
        classes.series([[_cell(one, attribute, *cell) for cell in order] for one in classes.numbers]),
        label="called right (%)",
        title=f"Recall by class and {attribute}, {most} worst first",
        limit=1.0,
        lead=lead,
        narrow=narrow,
    )


def _cell_table(classes: Classes, attribute: str) -> Table:
    order = _ordered_cells(classes, attribute)
    rates = [[_cell(one, attribute, *cell) for cell in order] for one in classes.numbers]
    worst = [classes.worst_cell(place, attribute)[0] for place, _ in enumerate(rates)]
    rows = [
        [
            tables.name(named, tag="under 30 images" if rates[0][i].n < 30 else ""),
            tables.count(rates[0][i].n),
            *(tables.share(of[i], worst=low == named) for of, low in zip(rates, worst, strict=True)),
        ]
        for i, named in enumerate(f"{name} × {group}" for name, group in order)
    ]
    heads = [Column(f"Class × {attribute}", numeric=False), Column("Images"), *classes.heads()]
    return tables.long_table(f"Recall by class and {attribute}", heads, rows)


def _cells(classes: Classes, attribute: str) -> Panel:
    drawn = functools.partial(_draw_cells, classes, attribute, CHARTED)
    note = f"{RECALL} The lowest of these cells is what the field calls worst-group accuracy."
    return Panel.charted("Cells", _cell_table(classes, attribute), drawn, note)


def _cell(one: ClassEvaluation, attribute: str, name: str, group: str) -> Rate:
    found: Mapping[str, Rate] = {}
    if group in one.groups.get(attribute, {}):
        found = one.groups[attribute][group].cells
    return found.get(name, ABSENT)
