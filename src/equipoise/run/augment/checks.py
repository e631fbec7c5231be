"""What can be known to be wrong with a run of `augment` before it trains anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable, Split
from equipoise.errors import InputError
from equipoise.resample import cell_rows
from equipoise.run.augment.augmentation import Augmentation
from equipoise.run.augment.protected import Protected, joint
from equipoise.run.checks import check_models, check_test
from equipoise.run.sources import relabelled
from equipoise.run.training import Start
from equipoise.seeds import child_seed
from equipoise.train import check_trainable
from equipoise.train.gan import check_start

Ids = NDArray[np.int64]

__all__ = ["check_tables", "classifier_table"]


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
) -> None:
    """Whether all classifiers can be trained and measured, and the generator if one is to be.

    Args:
        tables: Labelled with the target.
        known: The protected attributes, those that are annotated.
        groups: Further columns to measure by.
        how: How classifiers and pairs are made, and a generator if there is none.
        start: What classifiers are trained with.

    Raises:
        InputError: if there are too few images of something, or a generator cannot be trained on such images.
    """
    _check_parts(tables)
    check_test(tables.test, groups)
    check_models(["plain"], tables.train, start)
    if how.making is not None:
        check_start(how.making, tables.train, minutes=None, precision="auto")
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
