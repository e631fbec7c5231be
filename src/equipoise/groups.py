"""`Groups`: which group each row belongs to, checked once, with names that do not depend on the data.

Words like race and gender in a data set are what annotators saw in a picture. They serve to measure
unequal error, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError

__all__ = ["Groups"]

MISSING = "(missing)"


@dataclass(frozen=True, eq=False)
class Groups:
    """Group ids 0…k−1, one a row, and the names of the groups.

    Args:
        ids: Ids with shape (n,).
        names: One name a group, unique; a group may be empty.
        attribute: What the groups are about, for example "race".

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
        """Groups from any column; None and NaN become the group "(missing)". Names are sorted."""
        texts = [MISSING if v is None or v != v else str(v) for v in values]
        if not texts:
            return cls(np.zeros(0, np.int64), (), attribute)
        names, ids = np.unique(np.asarray(texts, dtype=object).astype(str), return_inverse=True)
        return cls(ids.reshape(-1).astype(np.int64), tuple(names.tolist()), attribute)

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows in each group, shape (k,)."""
        return np.bincount(self.ids, minlength=len(self.names)).astype(np.int64)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | Sequence[int]) -> Groups:
        """The groups of some rows; the names stay, so an emptied group stays visible."""
        chosen = np.asarray(rows)
        chosen = chosen if chosen.size else chosen.astype(np.int64)
        return Groups(self.ids[chosen], self.names, self.attribute)

    def cross(self, other: Groups) -> Groups:
        """Intersections that occur, named "a × b"."""
        if len(self) != len(other):
            raise InputError(
                f"Groups to be crossed must have as many rows; got {len(self)} and {len(other)}. "
                "Take both from the same table."
            )
        pairs, ids = np.unique(self.ids * len(other.names) + other.ids, return_inverse=True)
        names = tuple(
            f"{self.names[p // len(other.names)]} × {other.names[p % len(other.names)]}" for p in pairs
        )
        return Groups(ids.reshape(-1).astype(np.int64), names, f"{self.attribute} × {other.attribute}")
