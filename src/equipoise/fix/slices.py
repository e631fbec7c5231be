"""Slices as groups: rows of groups that were found otherwise, such as slices, weigh as the rest of their class."""

from __future__ import annotations

from equipoise.errors import InputError
from equipoise.fix.axes import Coefficients
from equipoise.fix.rows import Rows, parts_equal

__all__ = ["slices_as_groups"]


def slices_as_groups(rows: Rows, *, C: float = 3e-4) -> Coefficients:
    """Logistic regression, classes alike, and in each of them the slices that it has rows in, and the rest.

    Source: Sohoni et al., 2020, No subclass left behind (clusters as groups). Differs from it in: the groups
    are brought, and weigh the same in place of GroupDRO.
    """
    if rows.known.slices is None:
        raise InputError("Expected slices; got none. Give `slices`, an id a row, −1 for rows of none.")
    return rows.fitted(C, parts_equal(rows.labels, rows.known.slices))
