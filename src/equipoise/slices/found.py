"""`Found`: the slices of a model, which image is in which, and what could not have been seen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.files import replacing
from equipoise.groups import Groups
from equipoise.sharing import shared_path
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
        classes: What there was to find, a class each.
        fdr: Share of false ones among the slices, at most, on the mean.
        notes: What else is to be known of these numbers, in sentences.
    """

    slices: tuple[Slice, ...]
    ids: NDArray[np.int64]
    testing: NDArray[np.bool_]
    classes: tuple[ClassSummary, ...]
    fdr: float
    notes: tuple[str, ...] = ()

    def column(self) -> list[str | None]:
        """Name of the slice that each image is in; None of one in none."""
        names = (*(one.name for one in self.slices), None)
        return [names[i] for i in self.ids.tolist()]

    def groups(self) -> Groups:
        """The slices as groups; images in none are the group "(missing)"."""
        return Groups.from_column(self.column(), attribute=COLUMN)

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
