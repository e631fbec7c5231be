"""What images of any number of classes are, and what a model takes them for, checked once at the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.probabilities import Probabilities

__all__ = ["called_classes", "checked_classes", "class_ids", "highest"]

Ints = NDArray[np.int64]

BLOCK = 4_000_000  # scores that are looked at at once


def checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Names of classes, by id.

    Raises:
        InputError: if there are fewer than two, or a name stands twice.
    """
    names = () if isinstance(classes, str | Mapping) else tuple(map(str, classes))
    if len(names) < 2:
        raise InputError(
            f"Classes must be a list of at least two names, in the order of their ids; got {classes!r}. Pass the "
            "`class_names` of the table."
        )
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1}) if len(names) < 10_000 else []
        raise InputError(f"Class names must be unique; got {twice[:10]} more than once. Rename one of each.")
    return names


def class_ids(values: ArrayLike, classes: int, what: str) -> Ints:
    """Class ids 0…k−1 as whole numbers.

    Raises:
        InputError: if they are not a vector of these.
    """
    given = np.asarray(values)
    if given.ndim != 1 or given.dtype.kind not in "fiub":
        raise InputError(
            f"{what} must be a vector of class ids 0…{classes - 1}; got shape {given.shape} of {given.dtype}. "
            "Number the classes in the order of their names."
        )
    wrong = np.flatnonzero(~((given >= 0) & (given < classes) & (given == np.floor(given))))
    if wrong.size:
        raise InputError(
            f"{what} must be class ids 0…{classes - 1}, one for each of the {classes} classes; got {given[wrong[0]]} "
            f"at row {wrong[0]} ({wrong.size} such rows). Give all names, in the order of the ids; probabilities of "
            "two classes become ids by `probabilities >= threshold`."
        )
    return given.astype(np.int64)


def called_classes(predicted: ArrayLike, classes: int) -> tuple[Ints, int]:
    """Class id that each image is called, and in how many images several classes share the highest score.

    Args:
        predicted: Class ids, shape (n,), or scores, shape (n, k); those of `from_logits` are ranked by their logits.

    Raises:
        InputError: if they are neither.
    """
    given = np.asarray(predicted) if not isinstance(predicted, Probabilities) else predicted
    if given.ndim < 2:
        return class_ids(given, classes, "Predicted classes"), 0
    if given.shape[1:] != (classes,) or given.dtype.kind not in "fiu":
        raise InputError(
            f"Scores must have a column for each of the {classes} classes; got shape {given.shape} of {given.dtype}. "
            "Pass scores of shape (images, classes), or ids of predicted classes."
        )
    logits = given.logits if isinstance(given, Probabilities) else None
    return highest(np.asarray(given) if logits is None else logits)


def highest(scores: NDArray[Any]) -> tuple[Ints, int]:
    """Column with the highest score of each row, the first of several; and in how many rows there are several.

    Raises:
        InputError: if a score is not finite.
    """
    called, ties = np.empty(len(scores), np.int64), 0
    step = max(1, BLOCK // scores.shape[1])
    for start in range(0, len(scores), step):
        block = scores[start : start + step]
        if not np.isfinite(block).all():
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise InputError(
                f"Scores must be finite; got {block[row, column]} at row {start + row}, class {column}. The model or "
                "its input broke there."
            )
        called[start : start + step] = block.argmax(axis=1)
        ties += int(((block == block.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())
    return called, ties
