"""Rarity as weights: what is rare within its class weighs more."""

from __future__ import annotations

import numpy as np

from equipoise.errors import InputError
from equipoise.fix.axes import Coefficients
from equipoise.fix.regression import Floats
from equipoise.fix.rows import Rows

__all__ = ["rarity"]

HALVINGS = 60


def rarity(rows: Rows, *, C: float = 3e-4, ess: float = 0.5) -> Coefficients:
    r"""Logistic regression with weights :math:`p(x)^{-\tau}` within each class, classes alike.

    Args:
        rows: To fit on, with their log-density.
        C: Strength.
        ess: Effective sample size of each class's weights, in (0, 1); τ is where it is reached.

    Source: Amini et al., 2019, Uncovering and mitigating algorithmic bias through learned latent structure (weights
    against density). Differs from it in: rows are weighted, not drawn; the exponent is set by an effective sample size.
    """
    if rows.known.log_density is None:
        raise InputError("Expected log-densities; got none. Give `log_density`, one a row, in nats.")
    weights = np.empty(len(rows))
    for label in range(rows.classes):
        mine = rows.labels == label
        weights[mine] = _tempered(rows.known.log_density[mine], ess)
    return rows.fitted(C, weights / weights.mean())


def _tempered(log_density: Floats, ess: float) -> Floats:
    """Weights of sum 1 with this effective sample size; all alike if all are as dense."""
    low, high = 0.0, 1e3 / max(float(np.ptp(log_density)), 1e-12)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _size(_powers(log_density, middle)) > ess else (low, middle)
    return _powers(log_density, low)


def _powers(log_density: Floats, temperature: float) -> Floats:
    found = np.exp(-temperature * (log_density - log_density.min()))
    return np.asarray(found / found.sum())


def _size(weights: Floats) -> float:
    return 1 / (len(weights) * float((weights * weights).sum()))
