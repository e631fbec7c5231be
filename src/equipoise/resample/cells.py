"""Rows drawn so that cells, such as target × group, are seen equally often."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from numpy.typing import ArrayLike

from equipoise.errors import InputError
from equipoise.seeds import child_seed

__all__ = ["cell_rows"]


def cell_rows(cells: ArrayLike, count: int, *, seed: int = 0) -> Int64[ndarray, " count"]:
    """`count` rows with each cell equally often, and each row of a cell as often as the others, within one.

    With one cell for all it makes a table longer without any change of what is drawn.

    Args:
        cells: Cell of each row, shape (n,), any whole numbers; below 0 is never drawn.
        count: Rows to draw.
        seed: Decides the order, and which rows get one more.

    Raises:
        InputError: if no row has a cell, or `count` is below the number of cells.

    Example:
        >>> np.sort(cell_rows([0, 0, 0, 1], 6)).tolist()
        [0, 1, 2, 3, 3, 3]
    """
    ids = np.asarray(cells)
    names = np.unique(ids[ids >= 0]) if ids.ndim == 1 and ids.dtype.kind in "iu" else np.zeros(0)
    if not len(names) or count < len(names):
        raise InputError(
            f"Expected whole numbers of at least one cell, and at least as many rows to draw as cells; got "
            f"{len(names)} cells in shape {ids.shape} of {ids.dtype}, and {count} to draw. Check the groups."
        )
    chance = np.random.default_rng(child_seed(seed, "cells"))
    drawn = []
    for place, name in enumerate(names):
        rows = np.flatnonzero(ids == name)
        wanted = count // len(names) + (place < count % len(names))
        order = np.concatenate([chance.permutation(rows) for _ in range(-(-wanted // len(rows)))])
        drawn.append(order[:wanted])
    return chance.permutation(np.concatenate(drawn)).astype(np.int64)
