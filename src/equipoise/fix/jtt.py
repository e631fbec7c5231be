"""JTT: just train twice, the second time with errors of the first weighing more."""

from __future__ import annotations

import numpy as np

from equipoise.fix.axes import Coefficients
from equipoise.fix.regression import predicted
from equipoise.fix.rows import Rows

__all__ = ["jtt"]


def jtt(rows: Rows, *, C: float = 1e-3, C1: float = 1e-3, factor: float = 5.0) -> Coefficients:
    """Logistic regression, rows that a first stage gets wrong `factor` times.

    Source: Liu et al., 2021, Just train twice, algorithm 1. Differs from it in: only the last layer is trained; the
    first stage is cross-fitted in place of stopped early; weights are scaled to mean 1.
    """
    weights = np.where(predicted(rows.first_stage(C1, False)) != rows.labels, factor, 1.0)
    return rows.fitted(C, weights / weights.mean())
