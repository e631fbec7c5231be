"""Candidates: clusters along a line that tells the two kinds of context that all classes share, as far as they do.

What pulls images of one class away from it pulls images of others towards it. Where such contexts are two kinds (land
and water behind birds), images fall into two sets along one line, in every class. The line starts at the pull on the
axes and is drawn again from its own two sets, a few times: errors only say where it starts, features where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from equipoise.slices.candidates import Candidate, ClassView, Floats, Points, clusters_of
from equipoise.slices.k_means import k_means, nearest

__all__ = ["CONTEXT", "context", "line_of_context"]

CONTEXT = "context"
NUMBERS = (2, 3, 4)
ROUNDS = 5
RIDGE = 0.1  # of the mean variance along an axis
FEWEST = 20  # images of a class that draw the line


def context(view: ClassView) -> Iterator[Candidate]:
    """A candidate a cluster along the line, at each number of clusters."""
    along = _along(view, view.line)
    if not along.any():
        return
    for number in view.sizes(NUMBERS):
        centres = k_means(along[view.finding], number, view.generator)
        yield from clusters_of(view, _nearest_of(view.line, centres), CONTEXT, 0)


def line_of_context(
    shared: Floats, pull: NDArray[np.float64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The line along which images of all classes fall into two sets, drawn from where it starts.

    Args:
        shared: Images that find, of all classes, on principal axes, shape (n, M).
        pull: Of each axis towards a class, −1…1, shape (M,).
        labels: Class ids, shape (n,).

    Returns:
        Coefficients of axes, shape (M,); zeros where no class has enough images.

    Differs from discriminant K-means (Ding, Li 2007, Adaptive dimension reduction using discriminant analysis and
    K-means clustering) in: one line, two sets a class, and a start that errors give.
    """
    line = pull / np.maximum(shared.std(axis=0), 1e-12)
    classes = [rows for rows in _rows_of(labels) if len(rows) >= FEWEST]
    for _ in range(ROUNDS if classes else 0):
        between = np.zeros(shared.shape[1])
        within = np.zeros((shared.shape[1], shared.shape[1]))
        for rows in classes:
            mine = shared[rows].astype(np.float64)
            upper = _upper(mine @ line)
            for side in (upper, ~upper):
                centred = mine[side] - mine[side].mean(axis=0)
                within += centred.T @ centred
            between += len(rows) * (mine[upper].mean(axis=0) - mine[~upper].mean(axis=0))
        within += RIDGE * np.trace(within) / len(within) * np.eye(len(within))
        line = np.linalg.solve(within, between)
    return line if classes else np.zeros(shared.shape[1])


def _rows_of(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _upper(along: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The upper of two sets on a line, by the split of least squares; neither is empty."""
    order = np.argsort(along, kind="stable")
    sorted_ = along[order] - along.mean()
    sums, many = np.cumsum(sorted_)[:-1], np.arange(1, len(along))
    lower = int(np.argmax(sums**2 / (many * (len(along) - many)))) + 1
    found = np.zeros(len(along), bool)
    found[order[lower:]] = True
    return found


def _along(points: Points, line: NDArray[np.float64]) -> Floats:
    return np.asarray(points.shared @ line, np.float32)[:, None]


def _nearest_of(line: NDArray[np.float64], centres: Floats) -> Callable[[Points], NDArray[np.int64]]:
    return lambda points: nearest(_along(points, line), centres)
