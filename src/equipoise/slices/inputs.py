"""What slices are sought in, checked once: features, labels, what a model said, and what else is known of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.groups import Groups
from equipoise.slices.arrays import array_of
from equipoise.slices.outputs import Outputs, outputs_of

__all__ = ["Given", "given"]

MOST_CLASSES = 1 << 16
FEWEST = 50  # images: half of them is to tell a slice from its class


@dataclass(frozen=True, eq=False)
class Given:
    """Images, what a model said of them, and what else is known.

    Args:
        features: Shape (n, d), finite, any float type; on the disk or in memory.
        labels: Class ids, shape (n,).
        outputs: What the model said.
        class_names: By id.
        columns: Groups by column.
        flags: Flag → whether each image carries it, shape (n,).
        together: Columns whose equal values belong together.
    """

    features: NDArray[Any]
    labels: NDArray[np.int64]
    outputs: Outputs
    class_names: tuple[str, ...]
    columns: tuple[Groups, ...]
    flags: Mapping[str, NDArray[np.bool_]]
    together: tuple[Groups, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether the model takes each image for another class, shape (n,)."""
        return np.asarray(self.outputs.predicted != self.labels)


def given(
    features: Any,
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    columns: Mapping[str, Sequence[Any]] | None,
    together: Sequence[Sequence[Any]],
    class_names: Sequence[str] | None,
    flags: Mapping[str, ArrayLike] | None,
) -> Given:
    """Check what `find` was given; see there.

    Raises:
        InputError: if it is not as `find` expects.
    """
    rows = _features(features)
    n = len(rows)
    names = None if class_names is None else tuple(str(name) for name in class_names)
    said = outputs_of(scores, n, None if names is None else len(names), MOST_CLASSES)
    classes = _labels(labels, n, said.classes)
    if names is None:
        most = max(said.classes or 0, int(classes.max()) + 1, int(said.predicted.max()) + 1, 2)
        names = tuple(f"class {number}" for number in range(most))
    many = max(int(classes.max()), int(said.predicted.max())) + 1
    if many > len(names) or len(set(names)) < len(names):
        raise InputError(
            f"Expected a name of its own for each of {many} classes; got {list(names)}. Name each class once."
        )
    found = tuple(_groups(values, n, f"column {name!r}", name) for name, values in (columns or {}).items())
    tied = tuple(_groups(values, n, f"number {i} of together", f"{i}") for i, values in enumerate(together))
    marks = {str(name): _flag(values, n, name) for name, values in (flags or {}).items()}
    return Given(rows, classes, said, names, found, marks, tied)


def _features(values: Any) -> NDArray[Any]:
    table = array_of(values, "Features")
    if table.ndim != 2 or table.dtype.kind not in "fiu" or not table.shape[1]:
        raise InputError(
            f"Features must be numbers of shape (images, dimensions); got shape {table.shape} of {table.dtype}. "
            "Give a vector an image, for example of nn.features."
        )
    if len(table) < FEWEST:
        raise InputError(
            f"Expected at least {FEWEST} images, of which half find slices and half test them; got {len(table)}. "
            "Score more images that the model was not trained on."
        )
    return table


def _labels(values: ArrayLike, rows: int, classes: int | None) -> NDArray[np.int64]:
    found = array_of(values, "Labels")
    if found.shape != (rows,) or found.dtype.kind not in "iub":
        raise InputError(
            f"Expected a class id for each of {rows} rows of features; got shape {found.shape} of {found.dtype}. "
            "Give whole numbers, 0 for the first class."
        )
    low, high = int(found.min()), int(found.max())
    most = MOST_CLASSES if classes is None else classes
    if low < 0 or high >= most:
        raise InputError(
            f"Labels must be 0…{most - 1}{'' if classes is None else ', as the scores have it'}; got {low}…{high}. "
            "Take labels and scores from one model, and leave out rows without a label."
        )
    return found.astype(np.int64)


def _groups(values: Sequence[Any], rows: int, what: str, name: str) -> Groups:
    if isinstance(values, str) or len(values) != rows:
        raise InputError(
            f"Expected {rows} values in {what}, one an image; got "
            f"{'text' if isinstance(values, str) else len(values)}. Take all from one table."
        )
    return Groups.from_column(values, attribute=name)


def _flag(values: ArrayLike, rows: int, name: str) -> NDArray[np.bool_]:
    found = array_of(values, f"Flag {name!r}")
    if found.shape != (rows,) or found.dtype != bool:
        raise InputError(
            f"Expected true or false for each of {rows} images in flag {name!r}; got shape {found.shape} of "
            f"{found.dtype}. Compare first, for example quality < 0.2."
        )
    return found
