"""Mended errors as groups: of what a weak last layer gets wrong, what a fairer one gets right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from equipoise.fix.axes import Coefficients
from equipoise.fix.logit_adjustment import shifted, shifts_of
from equipoise.fix.regression import Ids, predicted
from equipoise.fix.rows import Rows, parts_equal

__all__ = ["mended_errors"]


def mended_errors(
    rows: Rows, *, C: float = 1e-4, C1: float = 1e-3, equal: bool = True, rounds: int = 3
) -> Coefficients:
    """Errors as groups, and again with those errors only that the cross-fitted last round gets right.

    Errors are of two kinds: pictures in which a shortcut does not hold, and hard or mislabelled ones. A classifier that
    relies less on the shortcut mends the first and not the second. Where classes are hard and no shortcut fails, this
    finds noise and makes it worse: let it be chosen. What is found is few, and is fitted better than it generalises:
    biases are set where classes are right alike, each half by what is found and half by the rest, on cross-fitted
    logits.

    Args:
        rows: To fit on.
        C: Strength of every stage but the first.
        C1: Of the first one.
        equal: Whether classes weigh the same in the first stage.
        rounds: How often errors are looked at; 1 is `errors_as_groups`.

    Source: ours; the idea of telling shortcut from difficulty by a biased and a debiased classifier is that of Nam et
    al., 2020, Learning from failure (relative difficulty). Differs from it in: both are cross-fitted last layers; cells
    weigh alike, in place of rows by their relative loss.
    """
    first = predicted(rows.first_stage(C1, equal)) != rows.labels
    found, number = first.astype(np.int64), 1
    while True:
        logits = rows.by_folds(_weighted(C, found), f"round {number}")
        if number == rounds:
            break
        found, number = (first & (predicted(logits) == rows.labels)).astype(np.int64), number + 1
    weights = parts_equal(rows.labels, found)
    return shifted(rows.fitted(C, weights), shifts_of(logits, rows.labels, rows.classes, weights))


def _weighted(C: float, parts: Ids) -> Callable[[Rows, NDArray[np.bool_]], Coefficients]:
    return lambda part, chosen: part.fitted(C, parts_equal(part.labels, parts[chosen]))
