"""Candidates: clusters of features beside the error, told by features alone.

With the error beside the features a small group of errors that look alike gets a cluster of its own. An image belongs
to the cluster with the nearest centre *by its features*, so that no slice is "the errors" themselves.

Source: S. Eyuboglu et al., Domino: Discovering Systematic Errors with Cross-Modal Embeddings, ICLR 2022: a mixture
over features, label and prediction. Differs from it in: k-means in place of a Gaussian mixture, within a class, and the
error plays no part in who belongs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from equipoise.slices.candidates import Candidate, ClassView, clusters_of
from equipoise.slices.k_means import k_means, nearest

__all__ = ["error_aware"]

NUMBERS = (4, 8, 16, 24)
AXES = 24
SHARE = 0.5  # squared spread of the error over that of all features


def error_aware(view: ClassView) -> Iterator[Candidate]:
    """A candidate a cluster, at each number of clusters."""
    points, surprise = view.places[:, :AXES], view.surprise[view.finding]
    if not surprise.std():
        return
    size = np.sqrt(SHARE * (points[view.finding] ** 2).sum(axis=1).mean())
    beside = ((surprise - surprise.mean()) / surprise.std() * size).astype(np.float32)
    both = np.concatenate([points[view.finding], beside[:, None]], axis=1)
    for number in view.sizes(NUMBERS):
        centres = k_means(both, number, view.generator)[:, :-1]
        yield from clusters_of(nearest(points, centres), "errors beside features", 2)
