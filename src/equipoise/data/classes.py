"""Labels: from what a column says to class ids, and what is not a label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import DataError, InputError
from equipoise.groups import text_of
from equipoise.label_words import meaning, no_label

__all__ = ["Classes", "class_ids", "meaning", "names_by_id", "no_label", "one_meaning"]

WHOLE = re.compile(r"([+-]?[0-9]{1,15})(\.0*)?")


@dataclass(frozen=True)
class Classes:
    """Which names became which class ids.

    Args:
        ids: Name → class id; empty where no column was read.
        column: The column of the names.
        others: All names that are not listed are class 0.
        renumbered: The names are numbers, and other numbers than their class ids.
    """

    ids: Mapping[str, int] = field(default_factory=dict)
    column: str = ""
    others: bool = False
    renumbered: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """In words."""
        if not self.ids:
            return ()
        if self.others:
            return (f"Labels from {self.column}: {next(iter(self.ids))} = 1, all others = 0",)
        listed = ", ".join(f"{name} = {number}" for name, number in list(self.ids.items())[:10])
        note = f"Labels from {self.column}: {listed}{', …' if len(self.ids) > 10 else ''}"
        if self.renumbered:
            note += f"; these numbers are not 0…{len(self.ids) - 1} and are numbered in their order"
        return (note,)


def class_ids(
    values: Sequence[Any], *, column: str, positive: str | None = None, order: Sequence[str] = ()
) -> tuple[NDArray[np.int64], Classes]:
    """Class ids of a column, and the classes.

    Whole numbers 0…K−1 are ids as they stand, and so are 0 and 1 where only one of the two occurs (1 = positive, 0 =
    negative); −1 beside 1 counts as 0, booleans as 0 and 1. Other whole numbers, such as 3, 7 and 42, are the names
    of classes, which are numbered in their order. Names that say it (positive/negative, face/nonface, yes/no) are
    taken at their word; other names are numbered in the order that the column has for them, else by the alphabet, so
    of two the second is positive. `positive` names the one class that is 1; all others are 0.

    Args:
        values: One a row.
        column: Its name.
        positive: The class, by name, that is positive.
        order: All classes in the column's own order, for example of a schema; empty if it has none.

    Raises:
        InputError: if `positive` does not occur.
        DataError: if a value is missing, negative or not whole, or two of them read as one number.

    Example:
        >>> ids, classes = class_ids(["dog", "cat", "dog"], column="animal")
        >>> ids, classes.notes
        (array([1, 0, 1]), ('Labels from animal: cat = 0, dog = 1',))
    """
    names = _names(values, column)
    occurring = sorted(set(names))
    if positive is not None:
        wanted = text_of(positive)
        if wanted is None or wanted not in occurring:
            raise InputError(
                f"positive must be a value of {column!r} ({', '.join(occurring[:10])}); got {positive!r}. "
                "Choose one of these."
            )
        chosen = np.array([name == wanted for name in names], np.int64)
        return chosen, Classes({wanted: 1}, column, others=True)
    numbers, renumbered = _numbered(list(order) if set(occurring) <= set(order) else occurring, column)
    ids = np.array([numbers[name] for name in names], np.int64)
    return ids, Classes(numbers, column, renumbered=renumbered)


def _names(values: Sequence[Any], column: str) -> list[str]:
    """Each value as text.

    Raises:
        DataError: if one says that there is no label.
    """
    names = [text_of(value) for value in values]
    unlabelled = {name for name in set(names) if name is None or no_label(name)}
    if unlabelled:
        rows = [row for row, name in enumerate(names) if name in unlabelled]
        shown = "none" if names[rows[0]] is None else repr(names[rows[0]])
        raise DataError(
            f"Expected a label in every row; got {shown} in row {rows[0]} of {column!r} ({len(rows)} of {len(names)} "
            "rows have no label). Fill it in or drop these rows; if it is the name of a class, write it otherwise."
        )
    return [name for name in names if name is not None]


def _numbered(known: Sequence[str], column: str) -> tuple[dict[str, int], bool]:
    """Name → class id, and whether names that are numbers got others."""
    numbers = _numbers(known, column)
    if numbers is not None:
        return _dense(numbers, column)
    said = {name: meaning(name) for name in known}
    told = [name for name in known if said[name] is not None]
    if len(told) == len(known) or (told and len(known) == 2):  # faces beside others: the others are negatives
        positives = {name for name in told if said[name]} or set(known) - set(told)
        return {name: int(name in positives) for name in known}, False
    return {name: index for index, name in enumerate(known)}, False


def _dense(numbers: dict[str, int], column: str) -> tuple[dict[str, int], bool]:
    """Class ids of names that are whole numbers, in their order, and whether these are other numbers."""
    occurring = sorted(set(numbers.values()))
    if occurring == [-1, 1]:
        return {name: int(number == 1) for name, number in numbers.items()}, False
    if occurring[0] < 0:
        raise DataError(
            f"Labels must be whole numbers ≥ 0 (1 = positive), or −1 and 1; got {occurring[0]} in {column!r}. "
            "Name another label_column, or the positive class."
        )
    numbers = dict(sorted(numbers.items(), key=lambda item: item[1]))
    if set(occurring) <= {0, 1} or occurring[-1] == len(occurring) - 1:
        return numbers, False
    place = {number: index for index, number in enumerate(occurring)}
    return {name: place[number] for name, number in numbers.items()}, True


def _numbers(names: Sequence[str], column: str) -> dict[str, int] | None:
    """Whole numbers that names stand for, booleans included; None if one stands for none.

    Raises:
        DataError: if names such as 1 and 01 stand for one number: they may be two classes.
    """
    numbers: dict[str, int] = {}
    written: dict[int, str] = {}
    for name in names:
        found = WHOLE.fullmatch({"True": "1", "False": "0"}.get(name, name).strip())
        if found is None:
            return None
        numbers[name] = int(found[1])
        other = written.setdefault(numbers[name], found[1])
        if other != found[1]:
            raise DataError(
                f"Expected labels that are written one way each; got {other} and {found[1]} in {column!r}, which may "
                "be one class or two. Write them alike, or give them names."
            )
    return numbers


def names_by_id(classes: Mapping[str, int], highest: int) -> tuple[str, ...]:
    """Name of each class id, from 0 to the highest that is named or given; see `ImageTable.class_names`."""
    count = 1 + max(1, highest, *classes.values())
    named: dict[int, list[str]] = {}
    for name, number in classes.items():
        named.setdefault(number, []).append(name)
    usual = ("negative", "positive") if count == 2 else tuple(map(str, range(count)))
    return tuple(", ".join(named.get(number, [usual[number]])) for number in range(count))


def one_meaning(classes: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Names of classes of all tables, if none has two class ids.

    Raises:
        InputError: if one has.
    """
    meant: dict[str, int] = {}
    for ids in classes:
        for name, number in ids.items():
            if meant.setdefault(name, number) != number:
                raise InputError(
                    f"Expected classes to mean the same in all tables; got {name} = {meant[name]} and "
                    f"{name} = {number}: classes are numbered by the names that a source has. Name the positive "
                    "class in both (`positive_class`), or give both the same classes."
                )
    return meant
