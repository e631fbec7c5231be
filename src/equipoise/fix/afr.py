"""AFR: automatic feature reweighting."""

from __future__ import annotations

import numpy as np

from equipoise.fix.axes import Coefficients
from equipoise.fix.regression import probability_of_label
from equipoise.fix.rows import Rows, equal_weights

__all__ = ["afr"]


def afr(rows: Rows, *, C: float = 1e-2, C1: float = 1e-3, sharpness: float = 3.0) -> Coefficients:
    r"""A plain last layer, fitted again with weights :math:`\exp(-\gamma p_y)` and pulled to what it was.

    Args:
        rows: To fit on.
        C: How much the rows count against the pull.
        C1: Strength of the plain layer.
        sharpness: γ: larger gives more to rows whose class is improbable.

    Source: Qiu et al., 2023, Simple and fast group robustness by automatic feature reweighting, section 3. Differs from
    it in: probabilities are cross-fitted, in place of a network trained on other pictures.
    """
    right = probability_of_label(rows.first_stage(C1, False), rows.labels)
    weights = np.exp(-sharpness * right) * equal_weights(rows.labels)
    first = rows.fitted(C1)
    return rows.fitted(C, weights / weights.mean(), start=first, pull=first)
