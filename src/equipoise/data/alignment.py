"""Classes of one table in the numbers of another: told by name, so that a test counts what training meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from equipoise.data.classes import WHOLE, meaning, names_by_id
from equipoise.data.table import ImageTable
from equipoise.errors import InputError

__all__ = ["aligned", "classes_of"]

MOST_NAMED = 5
NUMBERED = "Classes are numbered by name, as in the training data"


def classes_of(table: ImageTable) -> dict[str, int]:
    """Name → class id of all classes of a table; of two classes, only what its reader named."""
    if table.two_classes:
        return dict(table.classes)
    return {name: number for number, name in enumerate(table.class_names)} | dict(table.classes)


def aligned(table: ImageTable, classes: Mapping[str, int]) -> ImageTable:
    """The same images with the class ids that their classes have elsewhere, as in the data that a model learned.

    Classes are told by name. A table without names (arrays, or sources of one class) counts by its ids, and where
    nothing is known of the other classes, so does any table. Of two classes, names that say it themselves (positive,
    face, 0 and 1) and those beside them count as they say, and where only the positive class is named, all others are
    negatives.

    Args:
        table: For example test data.
        classes: Name → class id, as `ImageTable.classes` has them; see `classes_of`.

    Raises:
        InputError: if images are of a class that is not among `classes`.

    Example:
        >>> images = np.zeros((2, 8, 8, 3), np.uint8)
        >>> test = replace(ImageTable.from_arrays(images, [0, 1]), classes={"bee": 0, "cow": 1})
        >>> aligned(test, {"ant": 0, "bee": 1, "cow": 2}).labels
        array([1, 2])
    """
    if not classes:
        return table
    names: dict[int, list[str]] = {}
    for name, number in table.classes.items():
        names.setdefault(number, []).append(name)
    occurring = np.unique(table.labels).tolist()
    place = {number: _place(number, names.get(number, []), table.classes, classes) for number in occurring}
    missing = [number for number in occurring if place[number] is None]
    if missing:
        counts = [
            f"{', '.join(names.get(number, [str(number)]))} ({int((table.labels == number).sum())} images)"
            for number in missing
        ]
        known = names_by_id(classes, 1)
        raise InputError(
            f"Expected images of the classes that training has ({_some(list(known))}); got others as well: "
            f"{_some(counts)}. A class that was not learned cannot be tested: take these images out, name their class "
            "as training does, or train with it."
        )
    labels = np.array([place[number] for number in occurring], np.int64)[
        np.searchsorted(occurring, table.labels)
    ]
    moved = not np.array_equal(labels, table.labels)
    notes = (*table.notes, NUMBERED) if moved else table.notes
    return replace(table, labels=labels, classes=dict(classes), notes=notes)


def _place(number: int, names: list[str], given: Mapping[str, int], classes: Mapping[str, int]) -> int | None:
    """The id of a class among `classes`; None if it is not there."""
    found = {classes[name] for name in names if name in classes}
    if found:
        return found.pop() if len(found) == 1 else None
    two = max(classes.values()) <= 1
    if not names or not given:
        return number if number <= max(1, *classes.values()) else None
    if two and 0 not in classes.values():  # one class against all others
        return 0
    if two and number <= 1 and _says_it(given) and (_says_it(classes) or all(map(_is_id, names))):
        return number
    return None


def _says_it(classes: Mapping[str, int]) -> bool:
    """Whether two classes are numbered by what their names say, not by the alphabet."""
    return any(_is_id(name) or meaning(name) is not None for name in classes)


def _is_id(name: str) -> bool:
    found = WHOLE.fullmatch(name.strip())
    return name in ("True", "False") or (found is not None and int(found[1]) in (-1, 0, 1))


def _some(items: list[str]) -> str:
    return ", ".join(items[:MOST_NAMED]) + (
        f" and {len(items) - MOST_NAMED} more" if len(items) > MOST_NAMED else ""
    )
