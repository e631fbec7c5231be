"""`Groups`: which group each row belongs to, checked once, with names that do not depend on the data.

Words like race and gender in a data set are what annotators saw in a picture. They serve to measure
unequal error, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError

__all__ = ["MISSING", "Groups", "text_of"]

MISSING = "(missing)"
"""Name of the group of rows without a value."""
CROSS = " × "
EXACT = 2.0**53  # floats below hold every whole number


def text_of(value: Any) -> str | None:
    """A cell as the text that names its group; None where there is no value.

    Text stays as it is, so 1, 01 and 001 are three. A typed cell is written as a table would have it: whole
    floats without a point (columns of whole numbers become floats where a value is missing), bytes as UTF-8.

    Raises:
        InputError: for bytes that are not UTF-8.

    Example:
        >>> [text_of(value) for value in ("01", 1, 1.0, True, float("nan"), None)]
        ['01', '1', '1', 'True', None, None]
    """
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "as_py"):  # a cell of an Arrow column
        return text_of(value.as_py())
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"Expected text; got the bytes {value[:20]!r}, which are not UTF-8. Convert the column to text."
            ) from error
    if isinstance(value, float | np.floating):
        number = float(value)
        if number != number:
            return None
        return str(int(number)) if number.is_integer() and abs(number) < EXACT else str(value)
    return None if isinstance(value, np.datetime64 | np.timedelta64) and np.isnat(value) else str(value)


@dataclass(frozen=True, eq=False)
class Groups:
    """Group ids 0…k−1, one a row, and the names of the groups.

    Args:
        ids: Ids with shape (n,).
        names: One name a group, unique; a group may be empty.
        attribute: What the groups are about, for example "race".
        unknown: Ids of the groups of rows without a value; of crossed attributes, without a value of one of them.

    Raises:
        InputError: if an id has no name or a name stands twice.

    Example:
        >>> groups = Groups.from_column(["b", "a", None, "b"], attribute="skin")
        >>> groups.names, groups.counts.tolist()
        (('(missing)', 'a', 'b'), [1, 1, 2])
    """

    ids: NDArray[np.int64]
    names: tuple[str, ...]
    attribute: str = "group"
    unknown: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids)
        if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
            raise InputError(
                f"Group ids must be a vector of whole numbers; got shape {ids.shape} of {ids.dtype}. "
                "Build ids with Groups.from_column."
            )
        names = tuple(str(name) for name in self.names)
        if len(set(names)) != len(names):
            raise InputError(f"Group names must be unique; got {list(names)}. Rename the groups.")
        wrong = np.flatnonzero((ids < 0) | (ids >= len(names)))
        if wrong.size:
            row = int(wrong[0])
            raise InputError(
                f"Group ids must be 0…{len(names) - 1}; got {int(ids[row])} at row {row}. "
                "Build ids with Groups.from_column."
            )
        object.__setattr__(self, "ids", ids.astype(np.int64))
        object.__setattr__(self, "names", names)

    @classmethod
    def from_column(cls, values: Iterable[object], *, attribute: str = "group") -> Groups:
        """Groups from any column, by the text of its values (`text_of`); rows without one are the group "(missing)".

        Names are sorted. A value that reads "(missing)" is a value like any other and is named in quotes.
        """
        texts = [text_of(value) for value in values]
        named = {text: MISSING if text is None else _quoted(text) for text in dict.fromkeys(texts)}
        names = tuple(sorted(named.values()))
        place = {name: index for index, name in enumerate(names)}
        ids = np.fromiter((place[named[text]] for text in texts), np.int64, len(texts))
        return cls(ids, names, attribute, frozenset({place[MISSING]} if None in named else ()))

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether each row has a value, shape (n,)."""
        return ~np.isin(self.ids, list(self.unknown))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows in each group, shape (k,)."""
        return np.bincount(self.ids, minlength=len(self.names)).astype(np.int64)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | Sequence[int]) -> Groups:
        """The groups of some rows; the names stay, so an emptied group stays visible."""
        chosen = np.asarray(rows)
        chosen = chosen if chosen.size else chosen.astype(np.int64)
        return Groups(self.ids[chosen], self.names, self.attribute, self.unknown)

    def joined(self, other: Groups) -> Groups:
        """These rows and then the other's, groups joined by name.

        Names stay in their order where both have the same; else they are sorted, so that joining in any order gives
        the same names.

        Raises:
            InputError: if attributes differ, or a name is a value on one side and stands for no value on the other.
        """
        if self.attribute != other.attribute:
            raise InputError(
                f"Groups that are joined must be of one attribute; got {self.attribute!r} and {other.attribute!r}. "
                "Take both from the same column."
            )
        unknown = {one.names[group] for one in (self, other) for group in one.unknown}
        for one in (self, other):
            told = sorted(unknown & set(one.names) - {one.names[group] for group in one.unknown})
            if told:
                raise InputError(
                    f"The group {told[0]!r} of {self.attribute!r} is a value on one side and stands for rows without "
                    "one on the other. Build both with Groups.from_column."
                )
        names = self.names
        if self.names != other.names:
            names = tuple(sorted({*self.names, *other.names}))
        place = {name: index for index, name in enumerate(names)}
        ids = [np.array([place[name] for name in one.names], np.int64)[one.ids] for one in (self, other)]
        return Groups(np.concatenate(ids), names, self.attribute, frozenset(place[name] for name in unknown))

    def cross(self, other: Groups) -> Groups:
        """Intersections that occur, named "a × b"."""
        if len(self) != len(other):
            raise InputError(
                f"Groups to be crossed must have as many rows; got {len(self)} and {len(other)}. "
                "Take both from the same table."
            )
        pairs, ids = np.unique(self.ids * len(other.names) + other.ids, return_inverse=True)
        both = [divmod(int(pair), len(other.names)) for pair in pairs]
        names = [f"{self.names[a]}{CROSS}{other.names[b]}" for a, b in both]
        if len(set(names)) < len(names):  # values that hold the sign themselves
            names = [f'"{self.names[a]}"{CROSS}"{other.names[b]}"' for a, b in both]
        unknown = frozenset(id_ for id_, (a, b) in enumerate(both) if a in self.unknown or b in other.unknown)
        attribute = f"{self.attribute}{CROSS}{other.attribute}"
        return Groups(ids.reshape(-1).astype(np.int64), tuple(names), attribute, unknown)


def _quoted(text: str) -> str:
    """The text, in quotes if it would be taken for a missing value."""
    return f'"{text}"' if text.strip('"') == MISSING else text
