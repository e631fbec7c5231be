"""What features, labels and the rest must be, looked at once, at the door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fix.folds import linked
from equipoise.nn.feature_store import FeatureStore, pictures_digest

__all__ = [
    "Features",
    "Labelled",
    "Labels",
    "checked_classes",
    "checked_ids",
    "checked_labels",
    "checked_logits",
    "checked_vector",
    "paired",
    "units_of",
]

Ids = NDArray[np.int64]
SHOWN = 5


class Labelled(Protocol):
    """Pictures with labels, such as `data.ImageTable`."""

    @property
    def labels(self) -> Ids:
        """Class ids."""

    @property
    def digests(self) -> NDArray[np.uint64]:
        """Content of each picture."""


Features: TypeAlias = FeatureStore | NDArray[Any]
"""As `nn.features` gives them, or rows alone, shape (n, d)."""
Labels: TypeAlias = Labelled | ArrayLike
"""A table, or class ids alone, shape (n,)."""


def paired(features: Features, labels: Labels) -> tuple[NDArray[Any], ArrayLike]:
    """Rows and class ids; of a store and a table it is known whether one is of the other's pictures.

    Raises:
        InputError: if it is not; names both sides.
    """
    pictures = getattr(labels, "digests", None)
    ids = labels if pictures is None else labels.labels  # type: ignore[union-attr]
    if not isinstance(features, FeatureStore):
        return features, ids  # type: ignore[return-value]
    layout = features.layout
    if pictures is not None and pictures_digest(pictures) != layout.pictures:
        raise InputError(
            f"Expected features of the pictures whose labels are given, {len(pictures):,} of digest "
            f"{pictures_digest(pictures)[:8]}; got features of {layout.rows:,} pictures of digest "
            f"{layout.pictures[:8]}, made by backbone {layout.backbone[:8]}. Take both from one table, in one order."
        )
    return features.features, ids  # type: ignore[return-value]


def checked_ids(values: ArrayLike, rows: int, what: str, *, lowest: int) -> Ids:
    """Whole numbers from `lowest` on, shape (n,)."""
    found = np.asarray(values)
    if found.shape != (rows,) or found.dtype.kind not in "iub":
        raise InputError(
            f"Expected {what} of whole numbers, one for each of {rows} rows of features; got {found.dtype} "
            f"{found.shape}. They must come from the same table as the features, in its order."
        )
    if rows and int(found.min()) < lowest:
        raise InputError(f"Expected {what} of {lowest} or more; got {found.min()}. Number them from 0.")
    return found.astype(np.int64)


def checked_labels(labels: ArrayLike, rows: int) -> Ids:
    """Class ids, shape (n,)."""
    return checked_ids(labels, rows, "labels", lowest=0)


def checked_classes(labels: Ids, classes: int | None, units: Ids, fewest: int) -> int:
    """K, if each class has rows enough to be shared out.

    Raises:
        InputError: if there is one class only, or one has fewer units than `fewest`.
    """
    many = int(labels.max(initial=0)) + 1 if classes is None else classes
    if many <= int(labels.max(initial=0)):
        raise InputError(f"Labels must be 0…{many - 1}; got {labels.max()}. Check `classes`.")
    counts = np.array([len(np.unique(units[labels == label])) for label in range(many)])
    if many < 2:
        raise InputError(
            "Expected two classes or more; got one. A last layer has nothing to tell apart: add rows of another class."
        )
    short = np.flatnonzero(counts < fewest)
    if len(short):
        named = ", ".join(f"{label} ({counts[label]})" for label in short[:SHOWN])
        more = f" and {len(short) - SHOWN} more" if len(short) > SHOWN else ""
        raise InputError(
            f"Expected at least {fewest} different images (or subjects) of each class, one a fold; got fewer of class "
            f"{named}{more}. Add some, or leave these classes out."
        )
    return many


def checked_vector(values: ArrayLike, rows: int, what: str) -> NDArray[np.float64]:
    """Finite numbers, shape (n,)."""
    found = np.asarray(values)
    if found.shape != (rows,) or found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise InputError(
            f"Expected {what}, a finite number for each of {rows} rows of features; got {found.dtype} {found.shape}. "
            "They must come from the same table as the features."
        )
    return found.astype(np.float64)


def checked_logits(logits: ArrayLike, rows: int, classes: int) -> NDArray[np.float64]:
    """Logits of these classes, shape (n, outputs)."""
    found = np.asarray(logits)
    wide = found[:, None] if found.ndim == 1 else found
    allowed = {1, 2} if classes == 2 else {classes}
    if wide.ndim != 2 or len(wide) != rows or wide.shape[1] not in allowed or wide.dtype.kind != "f":
        raise InputError(
            f"Expected logits of {classes} classes for each of {rows} rows of features; got {found.dtype} "
            f"{found.shape}. Give what the network says of the same pictures."
        )
    if not np.isfinite(wide).all():
        raise InputError("Logits must be finite; got NaN or infinity. Look for weights that are not finite.")
    return wide.astype(np.float64)


def units_of(rows: int, columns: Sequence[Any]) -> Ids:
    """Ids of rows that stay together: with an equal content, or an equal subject.

    Args:
        rows: How many.
        columns: Of any values, shape (n,); None has no value, nor has a column that is None.
    """
    ids = []
    for values in columns:
        if values is None:
            continue
        listed = list(values)
        if len(listed) != rows:
            raise InputError(
                f"Expected a content and a subject for each of {rows} rows of features; got {len(listed)}. They must "
                "come from the same table as the features."
            )
        place: dict[Any, int] = {}
        ids.append(np.array([-1 if v is None else place.setdefault(v, len(place)) for v in listed], np.int64))
    return linked(rows, ids)
