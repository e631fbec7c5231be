"""Rows shared out into folds, so that what is said of a row comes from a layer that has not seen it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["folds", "linked"]

Ids = NDArray[np.int64]


def folds(labels: Ids, units: Ids, number: int, seed: int) -> Ids:
    """The fold of each row, 0…number−1: classes shared out evenly, rows of a unit on one fold.

    Args:
        labels: Class of each row, shape (n,).
        units: What must not be torn apart, one id a row, 0…m−1.
        number: How many.
        seed: Another seed, other folds.
    """
    _, first, sizes = np.unique(units, return_index=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(first))
    place = np.empty(len(first), np.int64)
    for label in np.unique(labels[first]):
        mine = order[labels[first][order] == label]
        mine = mine[np.argsort(-sizes[mine], kind="stable")]  # large ones first, then the small ones even out
        if (sizes[mine] == 1).all():
            place[mine] = np.arange(len(mine)) % number
            continue
        filled = np.zeros(number)
        for unit in mine:
            fold = int(filled.argmin())
            place[unit] = fold
            filled[fold] += sizes[unit]
    return place[units]


def linked(rows: int, columns: Sequence[NDArray[np.int64]]) -> Ids:
    """Ids 0…m−1 of the smallest sets of rows such that rows with an equal value in any column are in one.

    Args:
        rows: Of so many.
        columns: Contents, subjects, …, shape (n,) each; a value below 0 is none, and links nothing.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    heads, tails = [], []
    for values in columns:
        known = np.flatnonzero(values >= 0)
        _, first, place = np.unique(values[known], return_index=True, return_inverse=True)
        heads.append(known)
        tails.append(known[first[place.reshape(-1)]])
    ends = (np.concatenate(heads), np.concatenate(tails)) if heads else (np.zeros(0, int), np.zeros(0, int))
    graph = coo_matrix((np.ones(len(ends[0])), ends), shape=(rows, rows))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
