"""Many classes for the terminal: plain text, worst first, the same words as the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from equipoise.fairness import ClassEvaluation
from equipoise.rate import Rate
from equipoise.report.debias.models import main_models, ordered_models
from equipoise.report.debias.record import RunRecord
from equipoise.report.parts.classes import is_the_class, worst_first
from equipoise.report.parts.terminal import aligned, number, short, wrapped
from equipoise.report.parts.words import ABSENT

__all__ = ["class_blocks"]

FIRST = 10  # rows of a table in the terminal


def class_blocks(record: RunRecord) -> list[str]:
    """Blocks of text: the worst classes, the worst groups and cells of each attribute, and all models."""
    shown = [name for name in main_models(record) if name] or ordered_models(record)[:2]
    models = {record.models[name].title: record.models[name].classes for name in shown}
    known = {title: numbers for title, numbers in models.items() if numbers is not None}
    first = next(iter(known.values()))
    blocks = [
        _table("Called right by class", "class", known, list(first.recall), lambda one, key: one.recall[key])
    ]
    attributes = [name for name in first.groups if not is_the_class(first, name)]
    for attribute in attributes:
        cells = {
            f"{name} × {group}": (name, group)
            for group, of in first.groups[attribute].items()
            for name in of.cells
        }
        blocks.append(
            _table(
                f"Called right by class and {attribute}",
                f"class × {attribute}",
                known,
                list(cells),
                lambda one, key, a=attribute, c=cells: _cell(one, a, *c[key]),  # type: ignore[misc]
            )
        )
    return [*blocks, _all(record, next(iter(attributes), None)), _sampling(record)]


def _sampling(record: RunRecord) -> str:
    """How evenly the images of classes were drawn, in a sentence; empty where none was weighted."""
    made = record.class_resampling
    if not made:
        return ""
    sizes, largest = [one.ess for one in made.values()], max(one.max_weight for one in made.values())
    rules = ", ".join(dict.fromkeys(one.rule for one in made.values()))
    return wrapped(
        f"Classes were drawn equally often, and within {len(made)} of them images by rarity: rule {rules}; effective "
        f"sample size {min(sizes):.2f} to {max(sizes):.2f} of a class, largest weight {largest:.1f} times the mean. "
        "The report says for each class whom this favoured."
    )


def _cell(one: ClassEvaluation, attribute: str, name: str, group: str) -> Rate:
    found = one.groups.get(attribute, {}).get(group)
    return ABSENT if found is None else found.cells.get(name, ABSENT)


def _table(
    title: str,
    by: str,
    models: dict[str, ClassEvaluation],
    keys: Sequence[str],
    rate: Callable[[ClassEvaluation, str], Rate],
) -> str:
    first = next(iter(models.values()))
    order = worst_first(keys, lambda key: rate(first, key))
    rows = [
        [short(key), f"{rate(first, key).n:,}", *(number(rate(one, key), 100, 1) for one in models.values())]
        for key in order[:FIRST]
    ]
    left = len(order) - len(rows)
    more = [f"{left:,} more in the report."] if left > 0 else []
    said = "first what is bad beyond doubt, percent [95 % interval]"
    return "\n".join([wrapped(f"{title}, {said}"), *aligned([by, "images", *models], rows, []), *more])


def _all(record: RunRecord, attribute: str | None) -> str:
    heads = ["model", "accuracy", "balanced accuracy", "worst class"]
    heads += [f"worst cell by {attribute}"] if attribute else []
    rows = []
    for name in ordered_models(record):
        model = record.models[name]
        if (one := model.classes) is None:
            continue
        worst = one.worst_class
        row = [short(model.title), number(one.accuracy, 100, 1), number(one.balanced_accuracy, 100, 1)]
        row.append(f"{short(worst['class'] or '–', 20)}  {number(worst['recall'], 100, 1)}")
        if attribute:
            cell = one.worst_cell[attribute]
            where = short(f"{cell['class']} × {cell['group']}" if cell["class"] else "–", 30)
            row.append(f"{where}  {number(cell['recall'], 100, 1)}")
        rows.append(row)
    return "\n".join(["All models, percent called right", *aligned(heads, rows, [])])
