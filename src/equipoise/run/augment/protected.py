"""The protected attributes of a run of `augment`: annotated columns with two values, or sides that were discovered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.groups import Groups
from equipoise.run.hidden import hidden_features
from equipoise.run.sources import check_attributes
from equipoise.run.training import Trainer
from equipoise.slices import Found, Options, find
from equipoise.train import predict
from equipoise.train.recipe import epochs_of

__all__ = ["DISCOVER", "Protected", "annotated", "discovered", "joint"]

DISCOVER = "discover"
Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Protected:
    """One attribute with two sides.

    Args:
        name: What it is called.
        sides: Names of side 0 and side 1.
        found: "annotated", or how it was discovered.
        ids: "train" | "validation" | "test" → side of each image, −1 where it is not known.
        annotated: Whether somebody wrote it down; what was discovered needs no annotation to be used.
    """

    name: str
    sides: tuple[str, str]
    found: str
    ids: Mapping[str, Ids]
    annotated: bool = True

    def agreement(self, part: str, column: Groups, labels: Ids) -> float:
        """Cramér's V with a column among the images of a part, the mean of both classes of the target.

        1 = each tells the other, 0 = unrelated; within a class, since both may follow the target.
        """
        from scipy.stats.contingency import association  # comes with scikit-learn

        found = []
        for label in (0, 1):
            rows = np.flatnonzero((self.ids[part] >= 0) & (labels == label))
            counts = np.zeros((2, len(column.names)), np.int64)
            np.add.at(counts, (self.ids[part][rows], column.ids[rows]), 1)
            counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
            found.append(float(association(counts, method="cramer")) if min(counts.shape) > 1 else math.nan)
        return float(np.mean(found))

    def groups(self, part: str) -> tuple[Groups, Ids]:
        """The groups of the images of a part whose side is known, and the rows of these images."""
        rows = np.flatnonzero(self.ids[part] >= 0)
        return Groups(self.ids[part][rows], self.sides, self.name), rows


def annotated(tables: Mapping[str, ImageTable], names: Sequence[str]) -> list[Protected]:
    """Columns of the data.

    Raises:
        InputError: if a column is not there, or has not exactly two values.
    """
    found = []
    for name in names:
        for part, table in tables.items():
            check_attributes(table, [name], what=f"{part} data", setting="protected")
        groups = tables["train"].groups(name)
        sides = _values(groups)
        if len(sides) != 2:
            raise InputError(
                f"A protected attribute must have two values in the training data; {name!r} has {len(sides)} "
                f"({', '.join(sides[:8])}). Make a column of two, for example one value against all others; "
                "`groups` measures by columns with more."
            )
        ids = {}
        for part, table in tables.items():
            here = table.groups(name)
            if unknown := set(_values(here)) - set(sides):
                raise InputError(
                    f"Expected the values {', '.join(sides)} of {name!r} in the {part} data, as in training; got "
                    f"{', '.join(sorted(unknown)[:5])} too. Correct the column."
                )
            place = [-1 if g in here.unknown else sides.index(name) for g, name in enumerate(here.names)]
            ids[part] = np.array(place, np.int64)[here.ids]
        found.append(Protected(name, (sides[0], sides[1]), "annotated", ids))
    return found


def _values(groups: Groups) -> tuple[str, ...]:
    return tuple(name for group, name in enumerate(groups.names) if group not in groups.unknown)


def discovered(
    tables: Mapping[str, ImageTable], trainer: Trainer, *, names: tuple[str, str], seed: int
) -> Protected:
    """Sides that no annotation told: what lies in a slice that a classifier fails on looks like the other class.

    The classifier is stopped after a quarter of the recipe's epochs: what it learns first is what it takes for the
    target. Slices are those of its features on the validation part, found on one half of it and tested on the other.

    Args:
        tables: "train", "validation" and "test", labelled with the target.
        trainer: How classifiers are trained.
        names: Names of the negative and of the positive class of the target.
        seed: The one source of chance.

    Raises:
        InputError: if no slice is found, or the validation part is too small for any.
    """
    recipe = trainer.start.recipe
    how = recipe.plain
    epochs = epochs_of(how, len(tables["train"]) // how.batch_size)
    early = replace(recipe, plain=replace(how, epochs=max(1, epochs // 4)))
    model = (
        replace(trainer, start=replace(trainer.start, recipe=early))
        .plain("early", "classifier for a quarter of the epochs, to find groups", tables["train"], seed=seed)
        .model
    )
    device, held_out = trainer.start.engine.device, tables["validation"]
    features = {part: hidden_features(model, table, device=device) for part, table in tables.items()}
    found = find(
        features["validation"],
        held_out.labels,
        predict(model, held_out, device=device),
        class_names=names,
        options=Options(seed=seed),
    )
    if not found.slices:
        raise InputError(_nothing(found))
    ids = {part: _sides(found, features[part], table.labels) for part, table in tables.items()}
    told = "; ".join(
        f"{one.name}: {one.errors.value:.0%} wrong against {one.rest.value:.0%}" for one in found.slices
    )
    return Protected(
        "discovered",
        (f"looks like {names[0]}", f"looks like {names[1]}"),
        f"discovered: what a brief classifier fails on looks like the other class ({told})",
        ids,
        annotated=False,
    )


def _sides(found: Found, features: NDArray[np.float32], labels: Ids) -> Ids:
    return np.where(found.assign(features, labels) >= 0, 1 - labels, labels)


def _nothing(found: Found) -> str:
    return (
        f"Expected images that a brief classifier fails on more than on the rest of their class; found none among "
        f"{len(found.ids):,} validation images. {'; '.join(map(str, found.classes))}. Hold out more "
        "(`validation_share`), or name a column that pairs shall differ in."
    )


def joint(protected: Sequence[Protected], part: str, labels: Ids | None = None) -> Ids:
    """Ids of the combinations of sides, and of labels if given; −1 where a side is not known."""
    parts = [one.ids[part] for one in protected] + ([] if labels is None else [labels])
    combined = np.zeros(len(parts[0]), np.int64)
    for values in parts:
        combined = 2 * combined + np.maximum(values, 0)
    combined[np.min(parts, axis=0) < 0] = -1
    return combined
