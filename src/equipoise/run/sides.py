"""Sides of a split that somebody else made: test data of their own, a column, or the order of the images."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np

from equipoise.data import ImageTable, Split, aligned, classes_of
from equipoise.data.side import SIDES
from equipoise.data.split import check_together, official_split
from equipoise.errors import InputError
from equipoise.run.slice_column import SLICE, check_slices

__all__ = ["both_classes", "check_attributes", "check_class", "first_sides", "given_sides", "one_side"]

MAX_LEAK = 0.01  # largest share of test images that may stand in the training data too


def given_sides(
    data: ImageTable, test: ImageTable | None, *, split_column: str | None, together: str | None
) -> Split:
    """Sides that the user gave, by test data or by a column, once they are known to be sound.

    Raises:
        InputError: if both were given, or the sides share pictures or subjects, or differ in size, or a class is
            tested that training does not have.
    """
    if test is None:
        sides = official_split(data, split_column or "")
        both_classes(sides, f"by the column {split_column!r}")
    elif split_column is None:
        sides = Split(data, data.take([]), aligned(test, classes_of(data)))
    else:
        raise InputError(
            "Expected test data or a `split_column`; got both. Leave one of them out: the column says which of the "
            "data are for testing."
        )
    _same_shape(sides.train, sides.test)
    _no_leak(sides.train, sides.test)
    if together is not None:
        check_attributes(sides.test, [together], setting="together")
        check_together(sides, together)
    return sides


def one_side(table: ImageTable, side: str, *, split_column: str | None, together: str | None) -> ImageTable:
    """The "train", "validation" or "test" rows by the split column, or all rows where none is named.

    Raises:
        InputError: if there is no such column, it is no split, or it tears apart what shall stay together.
    """
    if split_column is None:
        if together is not None:
            raise InputError(
                "Expected a split for `together` to mind; got none: all images given are used. Add `split_column`, or "
                "leave `together` out."
            )
        return table
    check_attributes(table, [split_column], what="data", setting="split_column")
    sides = official_split(table, split_column)
    if together is not None:
        check_attributes(table, [together], what="data", setting="together")
        check_together(sides, together)
    return sides[SIDES.index(side)]


def both_classes(sides: Split, how: str) -> None:
    """Make sure that there is something to train on and to test on.

    Raises:
        InputError: if of two classes one is missing on one of the two sides; of more, if one is tested and not trained.
    """
    if not sides.train.two_classes:
        untrained = np.setdiff1d(sides.test.labels, sides.train.labels)
        if untrained.size:
            named = ", ".join(sides.train.class_names[label] for label in untrained[:5].tolist())
            raise InputError(
                f"Expected training images of every class that is tested; got none of {named}, {how}. Choose another "
                "column, share or seed, or leave the class out."
            )
        return
    for name, side in (("training", sides.train), ("test", sides.test)):
        if not len(side.positives) or not len(side.negatives):
            raise InputError(
                f"Expected images of both classes on every side of the split; got {len(side.positives)} positives and "
                f"{len(side.negatives)} negatives on the {name} side, {how}. Choose another column, or another share "
                "or seed."
            )


def first_sides(table: ImageTable, test_share: float, validation_share: float) -> Split:
    """The first images of each class for training, the last ones for testing."""
    sides = np.full(len(table), 0)
    for label in np.unique(table.labels):
        rows = np.flatnonzero(table.labels == label)
        sides[rows[round(len(rows) * (1 - test_share - validation_share)) :]] = 1
        sides[rows[round(len(rows) * (1 - test_share)) :]] = 2
    return Split(*(table.take(np.flatnonzero(sides == side)) for side in range(3)))


def _same_shape(train: ImageTable, test: ImageTable) -> None:
    shapes = [(table.image_size, table.channels) for table in (train, test)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"Expected training and test images of one size; got {shapes[0]} and {shapes[1]} (pixels a side, "
            "channels). Read both the same way."
        )
    if None not in (train.framing, test.framing) and train.framing != test.framing:
        raise InputError(
            f"Expected training and test images of one framing; got {train.framing} and {test.framing}. Read both the "
            "same way."
        )


def _no_leak(train: ImageTable, test: ImageTable) -> None:
    leaked = np.isin(test.digests, train.digests)
    if leaked.mean() > MAX_LEAK:
        row = int(np.flatnonzero(leaked)[0])
        paths = test.attributes.column_names
        where = f", for example {test.column('path')[row]}" if "path" in paths else ""
        raise InputError(
            f"Expected test images that no model was trained on; {int(leaked.sum())} of {len(test)} stand in the "
            f"training data too{where}. Take them out of one of the two, or leave the test data out: then a share "
            "is held out without leaks."
        )


def check_attributes(
    table: ImageTable, attributes: Sequence[str], *, what: str = "test data", setting: str = "groups"
) -> None:
    """Make sure that the table has the columns that were asked for.

    Raises:
        InputError: with the nearest names, if one is not there; or if slices are of other images.
    """
    known = table.attributes.column_names
    for name in attributes:
        if name not in table.columns:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
            columns = f"its columns are {', '.join(known)}" if known else "it has no columns"
            raise InputError(
                f"Expected a column {name!r} for `{setting}` in the {what}; {columns}."
                + (
                    f" Nearest: {', '.join(near)}."
                    if near
                    else " Give sources that have attributes, such as a CSV."
                )
            )
        if name == SLICE and name in known:
            check_slices(table.column(name))


def check_class(table: ImageTable, name: str) -> int:
    """Id of the class that was named as positive.

    Raises:
        InputError: with the nearest names, if the table has no such class.
    """
    if name not in table.class_names:
        near = ", ".join(difflib.get_close_matches(name, table.class_names, n=3, cutoff=0.0))
        raise InputError(
            f"`positive_class` must be one of the {len(table.class_names)} classes; got {name!r}. Nearest: {near}."
        )
    return table.class_names.index(name)
