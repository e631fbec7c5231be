"""Rows whose group people gave."""

from __future__ import annotations

import numpy as np

from equipoise.errors import InputError
from equipoise.fix.regression import Ids
from equipoise.fix.rows import Rows

__all__ = ["labelled"]


def labelled(rows: Rows) -> tuple[Rows, Ids]:
    """The rows of known group, and their groups.

    Raises:
        InputError: if there are none, or a class has none.
    """
    groups = rows.known.groups
    if groups is None:
        raise InputError("Expected groups; got none. Give `groups`, an id a row, −1 where it is unknown.")
    if (groups < 0).any():
        rows, groups = rows.take(groups >= 0), groups[groups >= 0]
    lacking = np.flatnonzero(np.bincount(rows.labels, minlength=rows.classes) == 0)
    if len(lacking):
        raise InputError(
            f"Expected rows of known group in each class; got none in class {lacking[0]}. Label some, or take a method "
            "that needs no groups."
        )
    return rows, groups
