"""Candidates: images in the direction of errors that look alike, against the rest of their class.

Errors of a class are clustered among themselves; each cluster gives a linear discriminant against the class, and the
images farthest along it are a candidate. How many, the half that finds decides.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from equipoise.slices.candidates import FEWEST, Candidate, ClassView
from equipoise.slices.excess import lower_limits
from equipoise.slices.k_means import k_means, nearest

__all__ = ["alike"]

NUMBERS = (2, 4, 8, 12)
STEP = 1.2  # a candidate's size over that of the next smaller one
FEW = 5  # errors of a cluster


def alike(view: ClassView) -> Iterator[Candidate]:
    """A candidate a cluster of errors, at each number of clusters."""
    points = view.whitened
    errors = points[view.finding & view.wrong]
    for number in NUMBERS:
        if len(errors) < FEW * number:
            return
        centres = k_means(errors, number, view.generator)
        counts = np.bincount(nearest(errors, centres), minlength=len(centres))
        for centre in centres[counts >= FEW]:
            along = points @ centre
            yield Candidate(
                along >= _border(along[view.finding], view.wrong[view.finding]), "errors alike", 2
            )


def _border(along: NDArray[np.float32], wrong: NDArray[np.bool_]) -> float:
    """From where on images fail most clearly, by the lower limit of their excess error."""
    order = np.argsort(-along, kind="stable")
    sizes = np.unique((FEWEST * STEP ** np.arange(200)).clip(max=len(along) // 2).astype(np.int64))
    hits = wrong[order].cumsum()[sizes - 1]
    best = sizes[np.argmax(lower_limits(hits, sizes, int(wrong.sum()), len(along)))]
    return float(along[order[best - 1]])
