"""Discovered groups: a binary attribute in place of an annotated protected one, from what a classifier gets wrong.

A classifier that leans on something which goes with the class (a background, a gender, a hospital) has features in
which that something shows, and is wrong where it does not go with the class. So the images of each class are
clustered by their features, and the cluster that is called wrong most often on held-out images is taken for the one
where the correlation is broken. What is found has no name: look at its images before calling it anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from numpy.typing import NDArray
from torch import Tensor

from equipoise.codes import array64
from equipoise.errors import InputError, MissingExtraError
from equipoise.intervals import proportion
from equipoise.rate import Rate
from equipoise.seeds import child_seed

__all__ = ["Discovered", "discover"]

FEWEST = 10
"""Held-out images that a cluster must have for its accuracy to say something."""

JUDGED = 5000
"""Held-out images of a class that a silhouette is taken over, at most: it compares all with all."""


@dataclass(frozen=True, eq=False)
class Discovered:
    """Clusters of the features of each class, and in which of them the class looks like the other.

    Args:
        clusters: By label, the number of clusters that was chosen.
        conflict: By label, the cluster whose held-out images are called wrong most often.
        accuracy: By label and cluster, the share of held-out images that the classifier calls right, with its
            interval. Overlapping intervals say that the choice rests on chance.
        silhouette: By label and number of clusters, on held-out features, −1 to 1, larger is better apart; NaN where
            it does not exist (all held-out images in one cluster, or each in its own).
    """

    clusters: dict[int, int]
    conflict: dict[int, int]
    accuracy: dict[int, list[Rate]]
    silhouette: dict[int, dict[int, float]]
    _spaces: dict[int, _Space] = field(repr=False)

    def sides(self, features: Any, labels: Any) -> Int64[ndarray, " n"]:
        """Which class each image looks like, 0 or 1: its own, or the other if it is in the conflicting cluster.

        A binary attribute that both classes have, and that goes with the class as the unknown one does: it can
        stand where a protected attribute stands.

        Args:
            features: Of the same layer of the same classifier.
            labels: Their classes, 0 or 1.

        Raises:
            InputError: if features are not finite or of another width, or labels not 0 or 1, one a row.
        """
        rows = _features(features, "Features", len(self._spaces[0].mean))
        classes = _labels(labels, len(rows), "labels")
        found = classes.copy()
        for label, space in self._spaces.items():
            mine = classes == label
            found[mine] = np.where(space.cluster(rows[mine]) == self.conflict[label], 1 - label, label)
        return found


@dataclass(frozen=True, eq=False)
class _Space:
    """Principal axes of the features of one class, and the clusters' centres on them."""

    mean: Float64[ndarray, " width"]
    axes: Float64[ndarray, "components width"]
    centres: Float64[ndarray, "clusters components"]

    def places(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((features - self.mean) @ self.axes.T)

    def cluster(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        """The nearest centre of each row."""
        gaps = -2 * self.places(features) @ self.centres.T + (self.centres**2).sum(1)
        return np.asarray(np.argmin(gaps, axis=1))


def discover(
    features: Any,
    labels: Any,
    *,
    held_out: tuple[Any, Any, Any],
    counts: Sequence[int] = (2, 3, 4, 6),
    components: int = 8,
    threshold: float | None = None,
    seed: int = 0,
) -> Discovered:
    """Cluster each class, and find the cluster in which the classifier errs most.

    Principal axes and k-means are fitted to the training rows of a class. The number of clusters is the one with the
    largest silhouette on the held-out rows. Clusters with fewer than 10 held-out rows cannot be chosen as the
    conflicting one, and a number that leaves fewer than two to compare is not taken. k-means likes clusters of like
    size: an exception of a few percent is found only where it lies far from the rest, or with many clusters, which
    the silhouette seldom asks for. `benchmarks/b3.py` tells how much of an annotated attribute is found.

    Args:
        features: Hidden features of the training images, from a classifier that was trained on labels alone. One
            that is trained briefly leans most on what is easy.
        labels: 0 or 1, the target.
        held_out: Features of images that the classifier has not seen, their labels, and its logits or
            probabilities of label 1.
        counts: Numbers of clusters to choose from.
        components: Principal axes, at most; fewer if there are fewer rows or features.
        threshold: From which score an image is called 1; None takes 0.5 if all scores are in [0, 1], else 0.
        seed: The one source of chance. The order of rows plays no part.

    Raises:
        InputError: if a table is not finite numbers, widths or lengths differ, a class is missing or has fewer
            different rows than clusters, all held-out images are called the same, or no cluster can be chosen,
            since too few have 10 held-out rows or all are right equally often.
        MissingExtraError: without scikit-learn.

    Source: N. S. Sohoni, J. A. Dunnmon, G. Angus, A. Gu, C. Ré, No Subclass Left Behind: Fine-Grained Robustness in
    Coarse-Grained Classification Problems, NeurIPS 2020 (GEORGE): clusters of the features of each class, their
    number by silhouette. Differs from it in: principal axes in place of UMAP, no splitting of clusters on top,
    silhouettes on held-out rows; and the clusters become one binary attribute, where GEORGE trains against the worst
    of them. That errors tell where the correlation breaks: E. Z. Liu et al., Just Train Twice, ICML 2021. Differs
    from it in: held-out errors choose a cluster, where there each training row that is called wrong counts more.
    """
    numbers = _counts(counts)
    if components < 1:
        raise InputError(f"components must be 1 or larger; got {components}. 8 is the default.")
    rows = _features(features, "Features")
    classes = _labels(labels, len(rows), "labels")
    other = _features(held_out[0], "Held-out features", rows.shape[1])
    other_classes = _labels(held_out[1], len(other), "held-out labels")
    right = _called(held_out[2], len(other), threshold) == other_classes
    chosen: dict[int, int] = {}
    conflict: dict[int, int] = {}
    accuracy: dict[int, list[Rate]] = {}
    silhouette: dict[int, dict[int, float]] = {}
    spaces: dict[int, _Space] = {}
    for label in (0, 1):
        mine = _ordered(rows[classes == label])
        aside = other_classes == label
        _check_class(mine, int(aside.sum()), label, max(numbers))
        judged = _ordered(other[aside])
        fitted = _fitted(mine, judged, numbers, components, child_seed(seed, "discovery", label))
        silhouette[label] = {k: value for k, (_, value) in fitted.items()}
        spaces[label] = _chosen(fitted, judged, label)
        ids = spaces[label].cluster(other[aside])
        chosen[label] = len(spaces[label].centres)
        accuracy[label] = [_rate(right[aside][ids == cluster]) for cluster in range(chosen[label])]
        conflict[label] = _conflict(accuracy[label], label)
    return Discovered(chosen, conflict, accuracy, silhouette, spaces)


def _fitted(
    training: NDArray[np.float64],
    held_out: NDArray[np.float64],
    numbers: tuple[int, ...],
    components: int,
    seed: int,
) -> dict[int, tuple[_Space, float]]:
    """By number of clusters, where they are and their silhouette on held-out rows."""
    try:
        from sklearn.cluster import KMeans
        from sklearn.decomposition import PCA
        from sklearn.metrics import silhouette_score
    except ImportError as error:
        raise MissingExtraError(
            "Groups are discovered with scikit-learn, which is not installed. "
            "Run: pip install 'equipoise[latent]'"
        ) from error
    chance = seed % 2**32
    judged = held_out[np.random.default_rng(seed).permutation(len(held_out))[:JUDGED]]
    axes = PCA(min(components, *training.shape), random_state=chance).fit(training)
    found = {}
    for number in numbers:
        means = KMeans(number, n_init=5, random_state=chance).fit(axes.transform(training))
        space = _Space(axes.mean_, axes.components_, means.cluster_centers_)
        ids, value = space.cluster(judged), math.nan
        if 1 < len(np.unique(ids)) < len(ids):
            value = float(silhouette_score(space.places(judged), ids))
        found[number] = space, value
    return found


def _chosen(fitted: dict[int, tuple[_Space, float]], held_out: NDArray[np.float64], label: int) -> _Space:
    """The best by silhouette of those with two clusters or more to compare."""
    sizes = {
        number: np.bincount(space.cluster(held_out), minlength=number)
        for number, (space, _) in fitted.items()
    }
    able = [number for number, rows in sizes.items() if (rows >= FEWEST).sum() >= 2]
    if not able:
        raise InputError(
            f"At least two clusters of class {label} must have {FEWEST} held-out images, so that their accuracies "
            f"can be compared; got clusters of {[rows.tolist() for rows in sizes.values()]}. Hold out more images, "
            "or try fewer clusters."
        )
    return fitted[max(able, key=lambda number: fitted[number][1])][0]


def _conflict(accuracy: list[Rate], label: int) -> int:
    """The cluster that is called wrong most often, of those large enough."""
    able = [cluster for cluster, rate in enumerate(accuracy) if rate.n >= FEWEST]
    values = [accuracy[cluster].value for cluster in able]
    if min(values) == max(values):
        raise InputError(
            f"Errors must tell clusters of class {label} apart; got {len(able)} clusters that are all right in "
            f"{values[0]:.1%} of {sum(accuracy[c].n for c in able)} held-out images. Give features and logits of a "
            "classifier that was trained for fewer steps, hold out more images, or choose another threshold."
        )
    return able[int(np.argmin(values))]


def _rate(right: NDArray[np.bool_]) -> Rate:
    return proportion(int(right.sum()), right.size, "no held-out images")


def _features(values: Any, what: str, width: int | None = None) -> NDArray[np.float64]:
    """A finite table, rows × features."""
    table: NDArray[Any] = array64(values) if isinstance(values, Tensor) else np.asarray(values)
    if table.ndim != 2 or table.size == 0 or table.dtype.kind not in "fiu":
        raise InputError(
            f"{what} must be numbers of shape (images, features), at least one; got shape {table.shape} of "
            f"{table.dtype}. Flatten each image's to one row."
        )
    if width is not None and table.shape[1] != width:
        raise InputError(
            f"{what} must be {width} wide, as those fitted to; got {table.shape[1]}. "
            "Take both from the same layer of the same classifier."
        )
    wrong = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if wrong.size:
        raise InputError(
            f"{what} must be finite; got NaN or infinity in row {wrong[0]} ({wrong.size} such rows). "
            "Look for a classifier that diverged, or drop the rows."
        )
    return table.astype(np.float64)


def _vector(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _labels(values: Any, rows: int, what: str) -> NDArray[np.int64]:
    given = _vector(values)
    if given.shape != (rows,) or given.dtype.kind not in "biuf" or not np.isin(given, (0, 1)).all():
        raise InputError(
            f"Expected {rows} {what}, 0 or 1, one a row of features; got shape {given.shape} of {given.dtype}"
            f"{'' if given.shape != (rows,) else ' with other values'}. Take both from the same table, and compare "
            "labels with the positive class."
        )
    return given.astype(np.int64)


def _called(values: Any, rows: int, threshold: float | None) -> NDArray[np.bool_]:
    """Which held-out images the classifier calls 1."""
    scores = _vector(values)
    if scores.shape != (rows,) or scores.dtype.kind not in "fiu" or not np.isfinite(scores).all():
        raise InputError(
            f"Expected {rows} finite logits or probabilities, one a held-out image; got shape {scores.shape} of "
            f"{scores.dtype}{'' if scores.shape != (rows,) else ' with other values'}. Score the same images."
        )
    if threshold is None:
        threshold = 0.5 if scores.min() >= 0 and scores.max() <= 1 else 0.0
    called = np.asarray(scores >= threshold)
    if called.all() or not called.any():
        raise InputError(
            f"The classifier must call some held-out images 1 and some 0; got scores {scores.min():.3g} to "
            f"{scores.max():.3g}, all on one side of {threshold:g}. Choose another threshold, or train it longer."
        )
    return called


def _counts(counts: Sequence[int]) -> tuple[int, ...]:
    numbers = tuple(sorted({int(number) for number in counts}))
    if not numbers or numbers[0] < 2:
        raise InputError(
            f"counts must be numbers of clusters, 2 or larger, at least one; got {list(counts)}. Try (2, 3, 4, 6)."
        )
    return numbers


def _ordered(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows in the order of their numbers: chance picks rows by their place."""
    return table[np.lexsort(table.T[::-1])]


def _check_class(training: NDArray[np.float64], held_out: int, label: int, most: int) -> None:
    different = int((training[1:] != training[:-1]).any(axis=1).sum()) + min(1, len(training))
    if different < most or not held_out:
        raise InputError(
            f"Each class needs held-out images, and at least {most} training images with different features, as "
            f"many as clusters are tried; got {different} different ones of class {label}, and {held_out} held out. "
            "Give more images, or try fewer clusters."
        )
