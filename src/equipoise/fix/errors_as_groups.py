"""Errors as groups: each class split into what a weak last layer gets right and wrong, both alike."""

from __future__ import annotations

import numpy as np

from equipoise.fix.axes import Coefficients
from equipoise.fix.regression import predicted
from equipoise.fix.rows import Rows, parts_equal

__all__ = ["errors_as_groups"]


def errors_as_groups(rows: Rows, *, C: float = 3e-4, C1: float = 1e-3, equal: bool = True) -> Coefficients:
    """Logistic regression, classes alike, and in each of them what a cross-fitted first stage gets right
    and wrong.

    Where a class goes with something else in pictures, such as a background, a first stage relies on it, and what it
    gets wrong are the pictures in which it does not hold.

    Args:
        rows: To fit on.
        C: Strength of the last stage.
        C1: Of the first one.
        equal: Whether classes weigh the same in the first stage.

    Source: Liu et al., 2021, Just train twice (errors of a first model); Idrissi et al., 2022, Simple data balancing
    (cells alike). Differs from them in: the first stage is a last layer and is cross-fitted, so it need not be stopped
    early; right and wrong weigh the same in each class, in place of a factor.
    """
    wrong = predicted(rows.first_stage(C1, equal)) != rows.labels
    return rows.fitted(C, parts_equal(rows.labels, wrong.astype(np.int64)))
