"""`ClassCalls`: what images of any number of classes are, and what a model takes them for, checked once at the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.scored import attributes_of
from equipoise.groups import Groups
from equipoise.intervals import Proportions
from equipoise.probabilities import Probabilities

__all__ = ["ClassCalls", "ClassCells", "Mistakes", "checked_classes", "class_ids", "highest", "mistakes"]

Ints = NDArray[np.int64]

FREQUENT = 5
"""Classes that wrong images are taken for, which are told by name."""
ALL_TOLD = 12
"""Up to so many classes all are told: then what is taken for what is a whole matrix."""
MOST_GROUPS = 20_000
BLOCK = 4_000_000  # scores that are looked at at once


class Mistakes(TypedDict):
    """What wrong images are taken for: class → how many, the 5 most frequent (of up to 12 classes all); and how many
    for all `other` classes."""

    taken_for: dict[str, int]
    other: int


@dataclass(frozen=True, eq=False)
class ClassCalls:
    """Labels, calls and attributes of the same images; build it with `ClassCalls.checked`.

    Args:
        labels: Class id of each image, shape (n,).
        called: Class id that the model gives it, shape (n,).
        classes: Name of each id.
        groups: One `Groups` an attribute.
        ties: Images whose highest score several classes share.
    """

    labels: Ints
    called: Ints
    classes: tuple[str, ...]
    groups: tuple[Groups, ...]
    ties: int = 0

    @classmethod
    def checked(
        cls,
        predicted: ArrayLike,
        labels: ArrayLike,
        groups: Groups | Sequence[Groups],
        classes: Sequence[str],
        *,
        intersections: bool = False,
    ) -> ClassCalls:
        """Check once, and add the pairwise intersections of the attributes if asked for.

        Raises:
            InputError: as `evaluate_classes`.
        """
        names = checked_classes(classes)
        truth = class_ids(labels, len(names), "Labels")
        called, ties = _called(predicted, len(names))
        if not len(called):
            raise InputError("Numbers need at least one image; got none. Check which rows were chosen.")
        attributes = attributes_of(groups, {"labels": len(truth)}, len(called), intersections=intersections)
        for attribute in attributes:
            if len(attribute.names) > MOST_GROUPS:
                raise InputError(
                    f"Expected at most {MOST_GROUPS:,} groups of an attribute, since each is compared with each; got "
                    f"{len(attribute.names):,} of {attribute.attribute!r}. Leave it out if it names single images, or "
                    "leave out intersections."
                )
        return cls(truth, called, names, attributes, ties)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether each image is called right."""
        return np.asarray(self.labels == self.called)

    @property
    def of_classes(self) -> Proportions:
        """Recall of each class, shape (k,); 0 images are allowed."""
        k = len(self.classes)
        return Proportions(
            np.bincount(self.labels[self.right], minlength=k), np.bincount(self.labels, minlength=k)
        )

    def of_groups(self, groups: Groups) -> Proportions:
        """Accuracy of each group, likewise."""
        return Proportions(np.bincount(groups.ids[self.right], minlength=len(groups.names)), groups.counts)


@dataclass(frozen=True, eq=False)
class ClassCells:
    """Class × group cells that have images, m of them, ordered by group, then class.

    Args:
        classes: Class id of each cell, shape (m,).
        groups: Group id of each cell, shape (m,).
        of_row: Cell of each image, shape (n,).
        n: Images of each cell, shape (m,).
    """

    classes: Ints
    groups: Ints
    of_row: Ints
    n: Ints

    @classmethod
    def of(cls, labels: Ints, groups: Groups, classes: int) -> ClassCells:
        """The cells of images with these class ids; what it takes grows with images, not with possible cells."""
        keys, rows, n = np.unique(groups.ids * classes + labels, return_inverse=True, return_counts=True)
        return cls(keys % classes, keys // classes, rows.reshape(-1), n.astype(np.int64))

    def known(self, groups: Groups) -> Ints:
        """Positions of the cells whose group is known, which are compared."""
        return np.flatnonzero(~np.isin(self.groups, list(groups.unknown)))

    def recall(self, right: NDArray[np.bool_]) -> Proportions:
        """Share of each cell's images that are called right."""
        return Proportions(self.counted(right), self.n)

    def counted(self, rows: NDArray[np.bool_]) -> Ints:
        """Some images of each cell."""
        return np.bincount(self.of_row[rows], minlength=len(self.n)).astype(np.int64)


def mistakes(keys: Ints, called: Ints, classes: Sequence[str]) -> dict[int, Mistakes]:
    """Key, for example true class, → what its wrong images are taken for, most frequent first, then by class id.

    Args:
        keys: One a wrong image.
        called: Class id that each is taken for.
        classes: Names of the ids.
    """
    if not len(keys):
        return {}
    k = len(classes)
    pairs, counts = np.unique(keys * k + called, return_counts=True)
    owners, takers = pairs // k, pairs % k
    order = np.lexsort((takers, -counts, owners))
    owners, takers, counts = owners[order], takers[order], counts[order]
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    totals = np.add.reduceat(counts, starts)
    ends = np.append(starts[1:], len(owners))
    found: dict[int, Mistakes] = {}
    most = k if k <= ALL_TOLD else FREQUENT
    for start, end, total in zip(starts, ends, totals, strict=True):
        told = range(start, min(end, start + most))
        taken = {classes[takers[i]]: int(counts[i]) for i in told}
        found[int(owners[start])] = {"taken_for": taken, "other": int(total) - sum(taken.values())}
    return found


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


def _called(predicted: ArrayLike, classes: int) -> tuple[Ints, int]:
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
