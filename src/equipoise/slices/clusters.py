"""Candidates: clusters of a class, of several sizes, on its principal axes. Errors play no part."""

from __future__ import annotations

from collections.abc import Iterator

from equipoise.slices.candidates import Candidate, ClassView, clusters_of
from equipoise.slices.k_means import k_means, nearest

__all__ = ["clusters"]

NUMBERS = (2, 4, 8, 12, 16, 24, 32)
AXES = 24


def clusters(view: ClassView) -> Iterator[Candidate]:
    """A candidate a cluster, at each number of clusters."""
    points = view.places[:, :AXES]
    for number in view.sizes(NUMBERS):
        centres = k_means(points[view.finding], number, view.generator)
        yield from clusters_of(nearest(points, centres), "clusters", 1)
