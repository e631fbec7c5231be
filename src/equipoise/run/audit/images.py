"""The images of an audit, and whether they are enough."""

from __future__ import annotations

import numpy as np

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.run.sources import Reading, Sources, describe, read_one

__all__ = ["audited_table", "check_folds"]


def audited_table(sources: Sources, reading: Reading, progress: bool) -> ImageTable:
    """The images; one source may have more than two classes.

    Raises:
        InputError: if there are none, or of one class only.
        DataError: if a source cannot be read.
    """
    if sources.data is not None and sources.positives is None and sources.negatives is None:
        table = read_one(sources.data, None, reading, progress=progress)
    else:
        found = sources.whole(reading, progress=progress)
        if found is None:
            raise InputError(
                "Expected images to audit; got none. Give a path behind the model, or `positives` and `negatives`."
            )
        table = found
    classes = np.unique(table.labels)
    if len(classes) < 2:
        raise InputError(
            f"Expected labelled images of at least two classes in {describe(sources.data)}; got {len(table)} of class "
            f"{', '.join(map(str, classes)) or 'none'}. Name the column of the labels, `label_column`, or give "
            "`positives` and `negatives`."
        )
    return table


def check_folds(table: ImageTable, folds: int) -> None:
    """Whether label noise can be told: every class in every fold.

    Raises:
        InputError: if a class has too few images.
    """
    counts = np.bincount(np.maximum(table.labels, 0))
    if counts.min() < folds:
        few = ", ".join(f"{count} of class {name}" for name, count in enumerate(counts) if count < folds)
        raise InputError(
            f"Expected {folds} images or more of every class, to find wrong labels; got {few}. Give more images, or "
            "leave that class out."
        )
