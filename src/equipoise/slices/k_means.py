"""k-means: Lloyd's algorithm from k-means++ starts, on few dimensions and many rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["k_means", "nearest"]

Floats = NDArray[np.float32]

STARTS = 2
STEPS = 40
SETTLED = 1e-3  # share of rows that still change their cluster
ROWS = 10_000  # that centres are fitted to


def k_means(points: Floats, clusters: int, generator: np.random.Generator) -> Floats:
    """Centres of clusters, shape (clusters or fewer, m): the start with the least squared distances.

    Args:
        points: Shape (n, m); of more than 10,000 rows some are drawn.
        clusters: At most; fewer if fewer rows differ.
        generator: Source of chance.

    Source: Lloyd 1982, Least squares quantization in PCM; Arthur, Vassilvitskii 2007, k-means++.
    """
    if len(points) > ROWS:
        points = points[generator.choice(len(points), ROWS, replace=False, shuffle=False)]
    found = [_lloyd(points, _start(points, clusters, generator)) for _ in range(STARTS)]
    return min(found, key=lambda pair: pair[0])[1]


def nearest(points: Floats, centres: Floats) -> NDArray[np.int64]:
    """The nearest centre of each row, shape (n,)."""
    return np.asarray(((centres**2).sum(axis=1) - 2 * (points @ centres.T)).argmin(axis=1))


def _start(points: Floats, clusters: int, generator: np.random.Generator) -> Floats:
    chosen = [int(generator.integers(len(points)))]
    gaps = ((points - points[chosen[0]]) ** 2).sum(axis=1, dtype=np.float64)
    while len(chosen) < clusters and gaps.sum() > 0:
        chosen.append(int(generator.choice(len(points), p=gaps / gaps.sum())))
        gaps = np.minimum(gaps, ((points - points[chosen[-1]]) ** 2).sum(axis=1, dtype=np.float64))
    return points[chosen]


def _lloyd(points: Floats, centres: Floats) -> tuple[float, Floats]:
    """Squared distances in all, and the centres."""
    ids = nearest(points, centres)
    for _ in range(STEPS):
        many = len(centres)
        counts = np.bincount(ids, minlength=many)
        each = (ids == np.arange(many)[:, None]).astype(np.float32)
        kept = counts > 0
        centres = np.asarray((each @ points)[kept] / counts[kept, None], np.float32)
        before, ids = ids, nearest(points, centres)
        if kept.all() and (before != ids).mean() <= SETTLED:
            break
    return float(((points - centres[ids]) ** 2).sum(dtype=np.float64)), centres
