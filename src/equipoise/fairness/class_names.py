"""`ClassNames`: the classes that a table's labels name, and how the table's other columns write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.fairness.class_calls import checked_classes
from equipoise.fairness.prediction_columns import Columns, missing, shortened
from equipoise.label_words import meaning, no_label

__all__ = ["ClassNames", "positive_of_two"]

Ints = NDArray[np.int64]
PAIRS = ({"0", "1"}, {"-1", "1"})
"""Numbers of which the higher is the positive class."""


@dataclass(frozen=True, eq=False)
class ClassNames:
    """Classes and labels.

    Args:
        column: Column of the labels.
        codes: Which of `texts` each row has, shape (n,).
        texts: Labels that occur.
        names: Names of the classes, by id.
        told: The classes were given, so that no other may occur.
        notes: What was decided, in words.
    """

    column: str
    codes: Ints
    texts: tuple[str, ...]
    names: tuple[str, ...]
    told: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Columns, column: str, classes: Sequence[str] | None) -> ClassNames:
        """The labels of a table.

        Raises:
            InputError: if a row has no label, or one that is not among the classes given.
        """
        codes, texts = columns.texts(column)
        nothing = np.array([no_label(text) for text in texts] + [True])[codes]
        if not len(codes):
            raise InputError("Numbers need at least one row; got an empty table.")
        if nothing.any():
            raise missing("label", column, int(np.flatnonzero(nothing)[0]), int(nothing.sum()), len(codes))
        if classes is not None:
            names = checked_classes(classes)
            _check_among(texts, names, codes, f"label in column {column!r}")
            return cls(column, codes, tuple(texts), names, told=True)
        _check_written_alike(texts, column)
        return cls(column, codes, tuple(texts), tuple(_ordered(texts)))

    @property
    def ids(self) -> Ints:
        """Class id of each row."""
        place = {name: at for at, name in enumerate(self.names)}
        return np.array([place[text] for text in self.texts], np.int64)[self.codes]

    def among(self, names: Iterable[str], positive: str | None) -> ClassNames:
        """The same labels with these classes, of two the positive one last."""
        listed = list(names) if self.told else _ordered(names)
        if positive is not None and len(listed) == 2 and not self.told:
            listed.sort(key=lambda name: name == positive)
        return ClassNames(self.column, self.codes, self.texts, tuple(listed), self.told, self.notes)

    def of_two(self, positive: str | None, column: str) -> ClassNames:
        """For one score: the positive class and, as one, all others.

        Raises:
            InputError: if it is not told which class is positive.
        """
        chosen = positive_of_two(self.names, positive)
        if chosen is None:
            raise InputError(
                f"Expected to be told which class the score in column {column!r} is about: labels are "
                f"{shortened(self.names)}. Name the positive class."
            )
        others = [name for name in self.names if name != chosen]
        if len(others) == 1:
            return ClassNames(self.column, self.codes, self.texts, (others[0], chosen))
        rest = f"not {chosen}"
        notes = (f"All classes but {chosen} are taken together",) if others else ()
        texts = tuple(text if text == chosen else rest for text in self.texts)
        return ClassNames(self.column, self.codes, texts, (rest, chosen), notes=notes)

    def with_predicted(self, columns: Columns, column: str, positive: str | None) -> tuple[ClassNames, Ints]:
        """Classes that are predicted too, and the class id that each row is called.

        Raises:
            InputError: if a row has no predicted class, one that is not among the classes given, or one that is
                written otherwise than in the labels.
        """
        codes, texts = columns.texts(column)
        nothing = np.array([no_label(text) for text in texts] + [True])[codes]
        if nothing.any():
            raise missing(
                "predicted class", column, int(np.flatnonzero(nothing)[0]), int(nothing.sum()), len(codes)
            )
        if self.told:
            _check_among(texts, self.names, codes, f"predicted class in column {column!r}")
        _check_written_alike({*texts, *self.names}, f"{self.column}, {column}")
        if not set(texts) & set(self.texts):
            raise InputError(
                f"Expected predicted classes as labels are written; got {shortened(texts)} in {column!r} and "
                f"{shortened(self.texts)} in {self.column!r}. Write both alike."
            )
        new = [text for text in _ordered(texts) if text not in self.names]
        names = self.among((*self.names, *new), None)
        if len(names.names) < 2:
            raise InputError(
                f"Expected at least two classes; all labels and predictions are {names.names[0]!r}. Give the names of "
                "all classes."
            )
        names = self.among(names.names, positive_of_two(names.names, positive))
        if new:
            rows = int(np.isin(codes, [texts.index(text) for text in new]).sum())
            said = f"Predicted in {rows} rows, and no label: {shortened(new)}"
            names = ClassNames(names.column, names.codes, names.texts, names.names, names.told, (said,))
        place = {name: at for at, name in enumerate(names.names)}
        return names, np.array([place[text] for text in texts], np.int64)[codes]

    def columns_among(self, free: Sequence[str]) -> dict[str, str] | None:
        """Class → column that is called so, or so with one text before and after in all of them; None if there is none.

        Raises:
            InputError: if there are several sets of them.
        """
        first = max(self.names, key=len)
        there = set(free)
        affixes = {
            (name[:at], name[at + len(first) :])
            for name in free
            for at in range(len(name) - len(first) + 1)
            if name.startswith(first, at)
        }
        full = sorted(
            affix for affix in affixes if all(affix[0] + name + affix[1] in there for name in self.names)
        )
        if ("", "") in full:
            full = [("", "")]
        if not full:
            return None
        if len(full) > 1:
            written = " and ".join(repr(f"{before}{first}{after}") for before, after in full)
            raise InputError(
                f"Expected one column of probabilities a class; got several, such as {written}. Say which "
                "(`probabilities`)."
            )
        before, after = full[0]
        found = {name: before + name + after for name in self.names}
        if not self.told and (before or after):  # classes that have no row
            found |= {
                name[len(before) : len(name) - len(after)]: name
                for name in free
                if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)
            }
        return found if len(found) > 1 else None


def positive_of_two(names: Sequence[str], positive: str | None) -> str | None:
    """The positive class: the one named, or of two the one whose name says so; None if nothing says it.

    Raises:
        InputError: if the one named is no class.
    """
    if positive is not None:
        if positive not in names:
            raise InputError(
                f"The positive class must be one of {shortened(names)}; got {positive!r}. Name one of the classes."
            )
        return positive
    if set(names) in PAIRS or set(names) == {"1"}:
        return "1"
    said = {name: meaning(name) for name in names}
    yes, no = ([name for name in names if said[name] is value] for value in (True, False))
    if len(names) <= 2 and len(yes) == 1:
        return yes[0]
    return next(name for name in names if name not in no) if len(names) == 2 and len(no) == 1 else None


def _ordered(names: Iterable[str]) -> list[str]:
    """Whole numbers by size, other names by the alphabet."""
    listed = sorted(names)
    try:
        return sorted(listed, key=int) if all(len(name) < 20 for name in listed) else listed
    except ValueError:
        return listed


def _check_among(texts: Sequence[str], names: Sequence[str], codes: Ints, what: str) -> None:
    other = [at for at, text in enumerate(texts) if text not in set(names)]
    if other:
        rows = np.flatnonzero(np.isin(codes, other))
        raise InputError(
            f"Expected each {what} to be one of {shortened(names)}; got {texts[codes[rows[0]]]!r} in row {rows[0]} "
            f"({rows.size} such rows). Add the class, or leave these rows out."
        )


def _check_written_alike(texts: Iterable[str], where: str) -> None:
    """Refuse names that may be one class written in two ways."""
    listed = list(texts)
    written = Counter(map(_plain, listed))
    if twice := [text for text in sorted(listed) if written[_plain(text)] > 1]:
        raise InputError(
            f"Expected classes that are written one way each; got {' and '.join(map(repr, twice[:2]))} in {where}, "
            "which may be one class or two. Write them alike."
        )


def _plain(text: str) -> str:
    folded = text.strip().casefold()
    try:
        number = float(folded)
    except ValueError:
        return folded
    return repr(number) if np.isfinite(number) else folded
