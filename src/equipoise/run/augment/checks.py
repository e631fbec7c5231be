"""What can be known to be wrong with a run of `augment` before it trains anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable, Split
from equipoise.errors import InputError
from equipoise.resample import cell_rows
from equipoise.run.augment.making_pairs import Augmentation
from equipoise.run.augment.protected import DISCOVER, Protected, joint
from equipoise.run.checks import Start, check_models, check_test
from equipoise.run.sources import Reading, relabelled
from equipoise.seeds import child_seed
from equipoise.train import GAN, check_trainable
from equipoise.train.gan import check_start

Ids = NDArray[np.int64]

__all__ = ["check_tables", "checked_names", "classifier_table"]


def checked_names(
    target: str, protected: Sequence[str], reading: Reading, how: Augmentation
) -> tuple[str, ...]:
    """The protected attributes, once each.

    Raises:
        InputError: if they do not go together with the target, or with how pairs are made.
    """
    names = tuple(dict.fromkeys(protected))
    if not names or (DISCOVER in names and len(names) > 1) or target in names:
        raise InputError(
            f"--protected must be one column or several, other than the target {target!r}, or {DISCOVER!r} alone; got "
            f"{', '.join(names) or 'none'}. Name what the pairs shall differ in."
        )
    if "target" in names:  # pairs call the scores of f_t so
        raise InputError(
            "A protected attribute must not be called 'target', which names the target's own scores; got one. "
            "Rename the column."
        )
    if reading.label_column is not None:
        raise InputError(
            f"The target names the label column; got --label-column {reading.label_column} too. Leave it out."
        )
    if how.variant == "complement_by_side" and len(names) > 1:
        raise InputError(
            "complement_by_side takes one protected attribute; got more. Choose another --variant."
        )
    return names


def classifier_table(
    train: ImageTable, values: Ids, known: Sequence[Protected], *, learning: str, seed: int
) -> ImageTable:
    """What an attribute's classifier learns from: images whose side is known, labelled with it.

    Args:
        train: Labelled with the target.
        values: Side of each image, −1 where it is not known.
        known: The protected attributes.
        learning: "balanced" draws all cells of target × protected equally often; "plain" takes the images as they are.
        seed: Of the draws.
    """
    rows = np.flatnonzero(values >= 0)
    if learning == "balanced":
        rows = cell_rows(joint(known, "train", train.labels), len(rows), seed=seed)
    return relabelled(train.take(rows), values[rows])


def check_tables(
    tables: Split,
    known: Sequence[Protected],
    groups: Sequence[str],
    how: Augmentation,
    start: Start,
    making: GAN | None,
) -> None:
    """Whether all classifiers can be trained and measured, and the generator if one is to be.

    Args:
        tables: Labelled with the target.
        known: The protected attributes, those that are annotated.
        groups: Further columns to measure by.
        how: How classifiers and pairs are made.
        start: What classifiers are trained with.
        making: How a generator is trained; None if there is one.

    Raises:
        InputError: if there are too few images of something, or a generator cannot be trained on such images.
    """
    _check_parts(tables)
    check_test(tables.test, groups)
    check_models(["plain"], tables.train, start)
    if making is not None:
        check_start(making, tables.train, minutes=None, precision="auto")
    batch = start.recipe.plain.batch_size
    sides = (
        {"the target": tables.train.labels, **{one.name: one.ids["train"] for one in known}} if known else {}
    )
    for number, (name, values) in enumerate(sides.items()):
        try:
            seed = child_seed(start.seed, "cells", number)
            table = classifier_table(tables.train, values, known, learning=how.classifiers, seed=seed)
            check_trainable(table, batch, start.engine.processes)
        except InputError as error:
            raise InputError(f"A classifier of {name} cannot be trained: {error}") from error


def _check_parts(tables: Split) -> None:
    for part, table in tables._asdict().items():
        if not (len(table.positives) and len(table.negatives)):
            raise InputError(
                f"Expected images with and without the target in the {part} part; got {len(table.positives)} with and "
                f"{len(table.negatives)} without. Give more images, or larger shares."
            )
