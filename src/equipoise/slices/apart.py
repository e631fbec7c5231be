"""Does a set of images stand apart from the rest of its class, and is it one set or two?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from equipoise.slices.k_means import k_means, nearest

__all__ = ["Side", "gap", "parts"]

GAP = 4.0
"""Separation from which two sets stand apart. Both halves of a normal distribution are 2.6 apart, of a flat one 3.5."""
AXES = 3

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Side = Callable[[Floats], Mask]
"""Of whitened rows, which are on it."""


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


def parts(
    points: Floats, inside: Mask, finding: Mask, generator: np.random.Generator
) -> list[tuple[Mask, Side]]:
    """A set in two, and these again, as long as the two stand apart; each with what says of any rows on which side
    they are.

    Args:
        points: Whitened, shape (n, m).
        inside: Which rows the set holds.
        finding: Which rows are of the half that finds.
        generator: Source of chance.
    """
    whole: list[tuple[Mask, Side]] = [(inside, _every)]
    chosen = inside & finding
    if chosen.sum() < 20:
        return whole
    centre = points[chosen].mean(axis=0)
    _, _, axes = np.linalg.svd(points[chosen] - centre, full_matrices=False)
    placed = (points[inside] - centre) @ axes[:AXES].T
    centres = k_means(placed[finding[inside]], 2, generator)
    ids = nearest(placed, centres)
    one = np.zeros(len(inside), bool)
    one[np.flatnonzero(inside)[ids == 0]] = True
    other = inside & ~one
    if not (one & finding).sum() or not (other & finding).sum():
        return whole
    if gap(placed, ids == 0, finding[inside]) < GAP:
        return whole
    return [
        (part, _both(_side(centre, axes[:AXES], centres, number), side))
        for number, half in enumerate((one, other))
        for part, side in parts(points, half, finding, generator)
    ]


def _every(points: Floats) -> Mask:
    return np.ones(len(points), bool)


def _side(centre: Floats, axes: Floats, centres: Floats, number: int) -> Side:
    return lambda points: (
        (nearest(np.asarray((points - centre) @ axes.T, np.float32), centres) == 0) == (number == 0)
    )


def _both(one: Side, other: Side) -> Side:
    return lambda points: one(points) & other(points)
