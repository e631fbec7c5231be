"""Scores from columns: a probability, or a logit, of one class or of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.fairness.class_names import ClassNames
from equipoise.fairness.prediction_columns import Columns, shortened
from equipoise.probabilities import from_logits

__all__ = ["class_columns", "matrix", "vector"]

ROUNDED = 0.01
"""How far a row may sum from 1, and a ten-thousandth more for each class: tables hold few decimals."""


def class_columns(
    columns: Columns, given: Mapping[str, str] | Sequence[str], names: ClassNames
) -> dict[str, str]:
    """Class → its column.

    Raises:
        InputError: if a column is not there, or a label has none.
    """
    if isinstance(given, Mapping):
        found = {str(name): str(column) for name, column in given.items()}
    else:
        listed = [given] if isinstance(given, str) else list(map(str, given))
        found = dict(zip(listed, listed, strict=True))
        if not set(names.texts) <= set(found):  # prob_cat, prob_dog
            found = names.columns_among(listed) or found
            if len(found) < len(listed):
                found = dict(zip(listed, listed, strict=True))
    for column in found.values():
        columns.check(column, "probabilities")
    lacking = [text for text in names.texts if text not in found]
    if lacking or len(found) < 2 or (names.told and set(found) != set(names.names)):
        raise InputError(
            f"Expected a column of probabilities for each class; got {shortened(found.values())} and classes "
            f"{shortened(names.names)}. Name a column a class, called as the class is, in `probabilities`."
        )
    return found


def vector(columns: Columns, name: str, logits: bool) -> NDArray[Any]:
    """Probabilities of one class, shape (n,), from a column of probabilities or logits.

    Raises:
        InputError: if one is missing, or is no probability.
    """
    values = columns.numbers(name, "score")
    if logits:
        return from_logits(values)
    _check_probabilities(values[:, None], [name])
    return values


def matrix(columns: Columns, names: Sequence[str], logits: bool) -> NDArray[Any]:
    """Probabilities of classes, shape (n, K), from a column a class.

    Raises:
        InputError: if one is missing or no probability, or those of a row do not sum to 1.
    """
    values = np.stack([columns.numbers(name, "probability") for name in names], axis=1)
    if logits:
        return from_logits(values)
    _check_probabilities(values, names)
    sums = values.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(sums - 1) > ROUNDED + 1e-4 * len(names))
    if wrong.size:
        raise InputError(
            f"Probabilities of the classes must sum to 1 in every row; they sum to {sums[wrong[0]]:.4g} in row "
            f"{wrong[0]} ({wrong.size} of {len(sums)} rows), in the columns {shortened(names)}. Give the columns of "
            "all classes and no other; if they are logits, say so (`logits`)."
        )
    return values


def _check_probabilities(values: NDArray[np.floating[Any]], names: Sequence[str]) -> None:
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f"Scores must be probabilities in [0, 1]; got {values[row, column]:.6g} in row {row} of column "
            f"{names[column]!r} ({int(wrong.any(axis=1).sum())} of {len(values)} rows have such numbers). If they are "
            "logits, say so (`logits`)."
        )
