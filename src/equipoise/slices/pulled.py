"""Candidates: clusters along what moves the scores. Axes count by how much they go with being taken for the class.

What pulls images of one class away from it (a background, say) often pulls images of others towards it, so images of
all classes tell which axes matter; where the clusters lie along these axes, features alone decide.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from equipoise.slices.candidates import Candidate, ClassView, clusters_of
from equipoise.slices.k_means import k_means, nearest

__all__ = ["pulled"]

NUMBERS = (2, 3, 4, 6, 8)


def pulled(view: ClassView) -> Iterator[Candidate]:
    """A candidate a cluster, at each number of clusters; along the pull of all classes, and of errors in this one."""
    for source, rank, weights in (("pulled", 0, view.pull), ("pulled within class", 1, _own(view))):
        points = np.asarray(view.shared * np.abs(weights), np.float32)
        if not points.any():
            continue
        for number in view.sizes(NUMBERS):
            centres = k_means(points[view.finding], number, view.generator)
            yield from clusters_of(nearest(points, centres), source, rank)


def _own(view: ClassView) -> NDArray[np.float64]:
    """Correlation of each shared axis with surprise in the class."""
    places, surprise = view.shared[view.finding], view.surprise[view.finding]
    spread = places.std(axis=0) * surprise.std() * len(places)
    product = (places - places.mean(axis=0)).T @ (surprise - surprise.mean())
    return np.asarray(np.divide(product, spread, out=np.zeros(len(spread)), where=spread > 0), np.float64)
