"""Does a set of images stand apart from the rest of its class, and is it one set or two?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equipoise.slices.k_means import k_means, nearest

__all__ = ["gap", "parts"]

GAP = 4.0
"""Separation from which two sets stand apart. Both halves of a normal distribution are 2.6 apart, of a flat one 3.5."""
AXES = 3

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def gap(points: Floats, inside: Mask, finding: Mask) -> float:
    """How far a set stands apart from other rows, in standard deviations along the line between their means.

    The line is of the half that finds, the distance of the half that tests: a line drawn to fit few rows flatters.

    Args:
        points: Whitened, shape (n, m).
        inside: Which rows the set holds.
        finding: Which rows are of the half that finds.

    Source: Ashman, Bird, Zepf 1994, Detecting bimodality in astronomical datasets, equation 4.
    """
    line = points[inside & finding].mean(axis=0) - points[~inside & finding].mean(axis=0)
    own, rest = points[inside & ~finding] @ line, points[~inside & ~finding] @ line
    if min(len(own), len(rest)) < 3:
        return 0.0
    spread = max(own.std(), rest.std())
    return float((own.mean() - rest.mean()) / spread) if spread > 0 else 0.0


def parts(points: Floats, inside: Mask, finding: Mask, generator: np.random.Generator) -> list[Mask]:
    """A set in two, and these again, as long as the two stand apart.

    Args:
        points: Shape (n, m).
        inside: Which rows the set holds.
        finding: Which rows are of the half that finds.
        generator: Source of chance.
    """
    chosen = inside & finding
    if chosen.sum() < 20:
        return [inside]
    own = points[chosen] - points[chosen].mean(axis=0)
    _, _, axes = np.linalg.svd(own, full_matrices=False)
    placed = (points[inside] - points[chosen].mean(axis=0)) @ axes[:AXES].T
    ids = nearest(placed, k_means(placed[finding[inside]], 2, generator))
    one = np.zeros(len(inside), bool)
    one[np.flatnonzero(inside)[ids == 0]] = True
    other = inside & ~one
    if not (one & finding).sum() or not (other & finding).sum():
        return [inside]
    if gap(placed, ids == 0, finding[inside]) < GAP:
        return [inside]
    return [part for half in (one, other) for part in parts(points, half, finding, generator)]
