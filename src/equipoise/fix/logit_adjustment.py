"""Logit adjustment, and a threshold a class: other biases, the same weights."""

from __future__ import annotations

import numpy as np

from equipoise.fix.axes import Coefficients
from equipoise.fix.regression import Floats, Ids, predicted
from equipoise.fix.rows import Rows

__all__ = ["logit_adjustment", "shifts_of", "thresholds_a_class"]

ROUNDS = 300


def logit_adjustment(rows: Rows, *, C: float = 1e-3, temperature: float = 1.0) -> Coefficients:
    """A plain last layer, less τ times the logarithm of each class's share.

    Source: Menon et al., 2021, Long-tail learning via logit adjustment, equation 9 (post hoc). Differs from it in:
    nothing.
    """
    shares = np.bincount(rows.labels, minlength=rows.classes) / len(rows)
    return shifted(rows.fitted(C), -temperature * np.log(shares))


def thresholds_a_class(rows: Rows, *, C: float = 1e-3) -> Coefficients:
    """A plain last layer with the biases at which its cross-fitted recall is most alike over classes.

    Source: Collell, Prelec, Patil, 2018, A simple plug-in bagging ensemble based on threshold-moving. Differs from it
    in: biases are moved to equal recall, not set from shares of the classes.
    """
    return shifted(rows.fitted(C), shifts_of(rows.first_stage(C, False), rows.labels, rows.classes))


def shifted(coefficients: Coefficients, shifts: Floats) -> Coefficients:
    """With each class's logit changed by its shift, shape (K,)."""
    found = coefficients.copy()
    found[-1] += shifts if found.shape[1] > 1 else shifts[1] - shifts[0]
    return found


def shifts_of(logits: Floats, labels: Ids, classes: int, weights: Floats | None = None) -> Floats:
    """Changes of each class's logit with which the worst recall is highest, of those passed on the way to equal recall.

    Args:
        logits: Of rows that they were not fitted on, shape (n, outputs).
        labels: Classes 0…K−1, each with a row.
        classes: K.
        weights: Of rows in their class's recall; None weighs all alike.
    """
    spread = float(logits.std()) or 1.0
    given = np.ones(len(labels)) if weights is None else weights
    counts = np.bincount(labels, given, minlength=classes)
    shifts, best, worst = np.zeros(classes), np.zeros(classes), -1.0
    both = np.concatenate([np.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits
    for number in range(ROUNDS):
        right = predicted(both + shifts) == labels
        recall = np.bincount(labels, right * given, minlength=classes) / counts
        if recall.min() > worst:
            worst, best = float(recall.min()), shifts.copy()
        shifts += spread * (recall.mean() - recall) / (1 + number / 20)
        shifts -= shifts.mean()
    return best
