"""Which slice other images belong to: by the rules that found the slices, whatever a model says of these images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.groups import Groups
from equipoise.slices.arrays import array_of
from equipoise.slices.axes import Axes, Rotation
from equipoise.slices.candidates import Points
from equipoise.slices.merging import Step, replayed
from equipoise.slices.search import Searched

__all__ = ["Membership", "membership_of"]

Ids = NDArray[np.int64]


class ClassRules(NamedTuple):
    """Rules of one class.

    Args:
        class_id: The class.
        rotation: Its axes.
        steps: How its slices were made.
        positions: Of each of them among the slices that the test calls real; −1 of others.
    """

    class_id: int
    rotation: Rotation
    steps: Sequence[Step]
    positions: Ids


@dataclass(frozen=True, eq=False)
class Membership:
    """Rules of all slices.

    Args:
        axes: That all classes share.
        classes: Rules, a class each.
        columns: That rules may ask for.
    """

    axes: Axes
    classes: tuple[ClassRules, ...]
    columns: tuple[str, ...]

    def __call__(self, features: Any, labels: ArrayLike, columns: Mapping[str, Sequence[Any]]) -> Ids:
        """Position of the slice of each image, see `Found.assign`."""
        rows, ids = self._checked(features, labels)
        groups = tuple(self._groups(name, columns, len(rows)) for name in self.columns)
        found = np.full(len(rows), -1, np.int64)
        for one in self.classes:
            mine = np.flatnonzero(ids == one.class_id)
            if not len(mine):
                continue
            shared = self.axes(rows[mine], ids[mine])
            points = Points(one.rotation(shared), shared, tuple(each.take(mine) for each in groups))
            inside = replayed(one.steps, points)
            found[mine] = np.where(inside >= 0, one.positions[inside], -1)
        return found

    def _checked(self, features: Any, labels: ArrayLike) -> tuple[NDArray[Any], Ids]:
        rows, ids = array_of(features, "Features"), array_of(labels, "Labels")
        width = len(self.axes.mean)
        if rows.ndim != 2 or rows.shape[1] != width or rows.dtype.kind not in "fiu":
            raise InputError(
                f"Expected features of {width} numbers an image, as those that slices were found in; got shape "
                f"{rows.shape} of {rows.dtype}. Take them of the same network."
            )
        if ids.shape != (len(rows),) or ids.dtype.kind not in "iub":
            raise InputError(
                f"Expected a class id for each of {len(rows)} rows of features; got shape {ids.shape} of {ids.dtype}. "
                "Give whole numbers, 0 for the first class."
            )
        return rows, ids.astype(np.int64)

    def _groups(self, name: str, columns: Mapping[str, Sequence[Any]], rows: int) -> Groups:
        values = columns.get(name)
        if values is None or isinstance(values, str) or len(values) != rows:
            got = "none" if values is None else f"{len(values)} values"
            raise InputError(
                f"Expected the column {name!r}, in which slices were sought, with {rows} values; got {got}. Give every "
                "column that `find` was given."
            )
        return Groups.from_column(values, attribute=name)


def membership_of(axes: Axes, found: Sequence[Searched], ids: Ids, columns: tuple[str, ...]) -> Membership:
    """The rules of what was found.

    Args:
        axes: That all classes share.
        found: In each class.
        ids: Position of each image's slice among those that the test calls real.
        columns: That slices were sought in.
    """
    classes = []
    for one in found:
        positions = [int(ids[one.rows[part.rows]][0]) for part in one.slices]
        if max(positions, default=-1) >= 0:
            classes.append(ClassRules(one.class_id, one.rotation, one.steps, np.array(positions, np.int64)))
    return Membership(axes, tuple(classes), columns)
