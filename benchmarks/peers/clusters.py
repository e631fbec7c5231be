"""Clusters within each class, in place of groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

Coded = tuple[np.ndarray, np.ndarray]
"""Codes, one row a picture, and targets."""


def class_clusters(
    training: Coded, held_out: Coded, *, seed: int, counts: tuple[int, ...] = (2, 3, 4, 6)
) -> tuple[np.ndarray, dict[str, Any]]:
    """A number for every training row: its class and its cluster; how many clusters each class has.

    Their number in a class is that of the largest silhouette on the held-out part.
    """
    codes, target = training
    others, labels = held_out
    cells, kept = np.zeros(len(target), np.int64), []
    for label in (0, 1):
        mine, other = target == label, labels == label
        axes = PCA(min(8, *codes[mine].shape), random_state=0).fit(codes[mine])
        best = None
        for k in counts:
            found = KMeans(k, n_init=3, random_state=seed).fit(axes.transform(codes[mine]))
            places = axes.transform(others[other])
            ids = found.predict(places)
            value = silhouette_score(places, ids) if len(np.unique(ids)) > 1 else -1.0
            if best is None or value > best[0]:
                best = (value, k, found.labels_)
        cells[mine] = 10 * label + best[2]
        kept.append(best[1])
    return cells, {"clusters": kept}
