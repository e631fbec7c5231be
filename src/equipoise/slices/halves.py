"""One half of the images to find slices in, the other to test them on; what belongs together is on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from equipoise.groups import Groups
from equipoise.seeds import child_seed

__all__ = ["Halves", "fingerprints", "halves"]

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Halves:
    """Which images find and which test.

    Args:
        testing: Whether each image tests, shape (n,).
        counted: Whether it is counted: of what belongs together in a class, one image is, shape (n,). Copies say
            nothing anew, and a test that counts them is too sure.
        order: Rows in an order that depends on contents alone, shape (n,).
    """

    testing: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    order: Ids


def fingerprints(features: NDArray[Any], labels: Ids) -> NDArray[np.uint64]:
    """A number a row that depends on its features alone, and one that depends on its label too, shape (n, 2)."""
    found = np.empty((len(features), 2), np.uint64)
    for place, block in _blocks(features):
        for i, row in enumerate(np.ascontiguousarray(block)):
            found[place + i, 0] = _hashed(row.tobytes())
    for i, label in enumerate(labels.tolist()):
        found[i, 1] = _hashed(found[i, 0].tobytes() + label.to_bytes(8, "little"))
    return found


def halves(
    contents: NDArray[np.uint64],
    strata: Ids,
    labels: Ids,
    together: Sequence[Groups],
    seed: int,
) -> Halves:
    """Share images out: each stratum by halves as exactly as what belongs together allows.

    Args:
        contents: What `fingerprints` gave.
        strata: What both halves should have alike, shape (n,).
        labels: Class ids, shape (n,).
        together: Columns whose equal values stay on one side; rows without a value stand alone.
        seed: Another one, another cut; the order of the rows plays no part.
    """
    n = len(contents)
    key = child_seed(seed, "slices", "halves").to_bytes(8, "little")
    drawn = np.fromiter((_hashed(key + own.tobytes()) for own in contents), np.uint64, n)
    order = np.lexsort((strata, labels, drawn))
    units = _units(contents, together)
    _, first = np.unique(units[order], return_index=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))  # units by their first row in the order
    units = rank[units]
    testing = _dealt(units, strata, order)[units]
    counted = np.zeros(n, bool)
    # One of each unit a class, the first in the order.
    _, chosen = np.unique(np.stack([units[order], labels[order]], 1), axis=0, return_index=True)
    counted[order[chosen]] = True
    return Halves(testing, counted, order.astype(np.int64))


def _dealt(units: Ids, strata: Ids, order: Ids) -> NDArray[np.bool_]:
    """Side of each unit: the one where its strata are short so far."""
    many = int(units.max()) + 1
    rows = order[np.argsort(units[order], kind="stable")]
    starts = np.searchsorted(units[rows], np.arange(many + 1))
    owed = np.zeros(int(strata.max()) + 1)
    sides = np.zeros(many, bool)
    mine = strata[rows]
    for unit in range(many):
        own = mine[starts[unit] : starts[unit + 1]]
        sides[unit] = owed[own].sum() > 0
        np.add.at(owed, own, -1.0 if sides[unit] else 1.0)
    return sides


def _units(contents: NDArray[np.uint64], together: Sequence[Groups]) -> Ids:
    """Ids of what hangs together: equal features, or an equal value of a column."""
    n = len(contents)
    _, own = np.unique(contents[:, 0], return_inverse=True)
    rows, values, base = [np.arange(n)], [own], int(own.max()) + 1
    for groups in together:
        known = np.flatnonzero(groups.known)
        rows.append(known)
        values.append(groups.ids[known] + base)
        base += len(groups.names)
    if len(rows) == 1:
        return own.astype(np.int64)
    edges = np.concatenate(rows), np.concatenate(values) + n
    graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(n + base, n + base))
    _, found = connected_components(graph, directed=False)
    _, units = np.unique(found[:n], return_inverse=True)
    return units.astype(np.int64)


def _blocks(features: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    step = max(1, (1 << 22) // features.shape[1])
    for start in range(0, len(features), step):
        yield start, features[start : start + step]


def _hashed(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
