"""`CellMoments`: mean and variance of features, risks or other numbers in each cell, such as class × group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError

__all__ = ["CellMoments"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellMoments:
    """Count, mean and spread of the rows of each of c cells.

    Args:
        rows: Rows of each cell, shape (c,).
        mean: Of each number, shape (c, d); 0 in a cell without rows.
        squares: Sum of the squares about the mean, likewise.
    """

    rows: NDArray[np.int64]
    mean: Floats
    squares: Floats

    @classmethod
    def of(cls, values: NDArray[Any], cells: ArrayLike, many: int) -> CellMoments:
        """Of rows in memory; there may be none, as in an empty shard.

        Args:
            values: Finite numbers, shape (n, d), or (n,) of one a row.
            cells: Cell of each row, 0…many−1, shape (n,); of class and group it is `label * groups + group`.
            many: Cells, c.

        Raises:
            InputError: if a value is not finite, a cell not 0…many−1, or lengths differ.

        Example:
            >>> found = CellMoments.of(np.array([1.0, 3.0, 5.0]), [0, 0, 1], 3)
            >>> found.rows.tolist(), found.mean[:, 0].tolist(), found.variance[:, 0].tolist()
            ([2, 1, 0], [2.0, 5.0, 0.0], [1.0, 0.0, nan])
        """
        rows = np.asarray(values, np.float64)
        rows = rows[:, None] if rows.ndim == 1 else rows
        ids = _checked(rows, np.asarray(cells), many)
        counts = np.bincount(ids, minlength=many).astype(np.int64)
        mean, squares = np.zeros((many, rows.shape[1])), np.zeros((many, rows.shape[1]))
        met = np.flatnonzero(counts)
        if len(met):
            n, starts = counts[met], np.cumsum(counts[met]) - counts[met]
            rows = rows[np.argsort(ids, kind="stable")] if len(met) > 1 else rows
            mean[met] = _sums(rows, starts) / n[:, None]
            middle = mean[met] if len(met) == 1 else np.repeat(mean[met], n, axis=0)
            squares[met] = _sums((rows - middle) ** 2, starts)
        return cls(counts, mean, squares)

    def merge(self, other: CellMoments) -> CellMoments:
        """Moments of both sets of rows; up to rounding, as if they had come together.

        Raises:
            InputError: if cells or numbers a row are not as many.

        Source: Chan, Golub, LeVeque, 1983, Algorithms for computing the sample variance, equation 2.1.
        """
        if self.mean.shape != other.mean.shape:
            raise InputError(
                "Moments that merge must have as many cells, and numbers a row; got "
                f"{self.mean.shape} and {other.mean.shape}. Number the cells alike."
            )
        rows = self.rows + other.rows
        some = np.maximum(rows, 1)
        step = other.mean - self.mean
        between = step**2 * (self.rows * other.rows / some)[:, None]
        return CellMoments(
            rows, self.mean + step * (other.rows / some)[:, None], self.squares + (other.squares + between)
        )

    @property
    def variance(self) -> Floats:
        """Of each number, shape (c, d); NaN in a cell without rows."""
        n = np.where(self.rows > 0, self.rows, np.nan)[:, None]
        return np.asarray(self.squares / n)

    @property
    def total(self) -> CellMoments:
        """All cells as one."""
        one = zip(self.rows, self.mean, self.squares, strict=True)
        return reduce(CellMoments.merge, (CellMoments(n[None], m[None], s[None]) for n, m, s in one))


def _sums(rows: Floats, starts: NDArray[np.int64]) -> Floats:
    """Of the rows from each start to the next."""
    return np.stack([rows[a:b].sum(0) for a, b in pairwise((*starts.tolist(), len(rows)))])


def _checked(rows: Floats, cells: NDArray[Any], many: int) -> NDArray[np.int64]:
    if rows.ndim != 2 or cells.shape != (len(rows),) or (cells.size and cells.dtype.kind not in "iub"):
        raise InputError(
            f"Expected numbers of shape (n, d) and a cell for each row; got shapes {rows.shape} and {cells.shape} of "
            f"{cells.dtype}. Take both from the same table."
        )
    if cells.size and not 0 <= int(cells.min()) <= int(cells.max()) < many:
        raise InputError(
            f"Cells must be 0…{many - 1}; got {cells.min()} to {cells.max()}. Number them from 0."
        )
    if not np.isfinite(rows.sum()) and not np.isfinite(rows).all():
        wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        raise InputError(
            f"Numbers must be finite; got NaN or infinity in row {wrong[0]}. Leave out what could not be computed."
        )
    return cells.astype(np.int64)
