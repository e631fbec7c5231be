"""`Found`: the slices of a model, which image is in which, and what could not have been seen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.files import replacing
from equipoise.groups import MISSING, Groups
from equipoise.sharing import shared_path
from equipoise.slices.membership import Membership
from equipoise.slices.slice import ClassSummary, Slice

__all__ = ["COLUMN", "Found"]

COLUMN = "slice"


@dataclass(frozen=True, eq=False)
class Found:
    """What was found.

    Args:
        slices: Worst first: by the lower limit of the excess error.
        ids: Position in `slices` of each image, −1 of one in none, shape (n,).
        testing: Whether each image is of the half that tests, shape (n,).
        counted: Whether tests count it, shape (n,): of copies, and of what belongs together, one image a class is.
        classes: What there was to find, a class each.
        fdr: Share of false ones among the slices, at most, on the mean.
        notes: What else is to be known of these numbers, in sentences.
        membership: The rules that tell slices, for other images.
    """

    slices: tuple[Slice, ...]
    ids: NDArray[np.int64]
    testing: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    classes: tuple[ClassSummary, ...]
    fdr: float
    notes: tuple[str, ...] = ()
    membership: Membership | None = field(default=None, repr=False)

    def column(self) -> list[str | None]:
        """Name of the slice that each image is in; None of one in none."""
        names = (*(one.name for one in self.slices), None)
        return [names[i] for i in self.ids.tolist()]

    def groups(self, ids: NDArray[np.int64] | None = None) -> Groups:
        """The slices as groups, named in alphabetical order; images in none are the group "(missing)".

        Args:
            ids: Of other images, as `assign` gives them: the groups of every shard have the same names. None takes the
                images that slices were found among.
        """
        names = sorted([(MISSING, -1), *((one.name, place) for place, one in enumerate(self.slices))])
        places = np.empty(len(names), np.int64)  # of −1 the last
        places[[place for _, place in names]] = np.arange(len(names))
        unknown = frozenset({int(places[-1])})
        return Groups(places[self.ids if ids is None else ids], tuple(n for n, _ in names), COLUMN, unknown)

    def assign(
        self,
        features: Any,
        labels: ArrayLike,
        *,
        columns: Mapping[str, Sequence[Any]] | None = None,
    ) -> NDArray[np.int64]:
        """Position in `slices` of other images, −1 of one in none, shape (m,): by the rules that found the slices.

        What a model says of these images plays no part.

        Args:
            features: Of the same network, shape (m, d).
            labels: Class ids, shape (m,): a slice holds images of its class.
            columns: Those that slices were sought in, of these images.

        Raises:
            InputError: if they are not of the images' shape, or a column is missing.
        """
        if self.membership is None:
            raise InputError("Expected what `find` gave; got slices without rules. Find them anew.")
        return self.membership(features, labels, columns or {})

    def write(self, path: str | os.PathLike[str], paths: Sequence[str | None] | None = None) -> None:
        """Write a row an image: its path, its slice (null in none), and the half that it is of; atomically.

        Args:
            path: A Parquet file.
            paths: Of the images; without, rows are told by their order. Written without places of this machine.

        Raises:
            InputError: if paths are not one an image.
            DataError: if the file cannot be written.
        """
        if paths is not None and len(paths) != len(self.ids):
            raise InputError(
                f"Expected a path for each of {len(self.ids)} images; got {len(paths)}. Take them from the same table."
            )
        columns: dict[str, Any] = {}
        if paths is not None:
            told = [None if one is None else shared_path(one) for one in paths]
            columns["path"] = pa.array(told, pa.string())
        columns[COLUMN] = pa.array(self.column(), pa.string())
        columns["half"] = pa.array(np.where(self.testing, "tests", "finds"))
        with replacing(path) as temporary:
            pq.write_table(pa.table(columns), temporary)

    def __str__(self) -> str:
        if self.slices:
            few = f"{len(self.slices)} slices" if len(self.slices) > 1 else "One slice"
            head = (
                f"{few} found, worst first; at most {self.fdr:.0%} of such findings are false, on the mean."
            )
        else:
            head = "No slice was found that fails more than the rest of its class."
        lines = [head, *(f"  {one}" for one in self.slices), *(f"  {one}" for one in self.classes)]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])
