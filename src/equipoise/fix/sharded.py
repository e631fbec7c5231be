"""A last layer from features that are never in memory at once: shards of one machine, or of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from equipoise.density.principal import Moments
from equipoise.errors import InputError
from equipoise.fix.axes import AXES, Axes, blocks, feature_moments
from equipoise.fix.checks import checked_ids, checked_vector
from equipoise.fix.regression import regression
from equipoise.threads import one_thread

__all__ = ["refit_shards"]

Shards: TypeAlias = Sequence[NDArray[Any]] | Callable[[], Iterable[NDArray[Any]]]


def refit_shards(
    shards: Shards,
    labels: ArrayLike,
    *,
    C: float = 1e-3,
    weights: ArrayLike | None = None,
    classes: int | None = None,
    moments: Moments | None = None,
) -> nn.Linear:
    """The layer that `refit` gives by "plain", or by any weights of rows, from features in shards.

    Coordinates are made anew in each of some ten passes, from 64 MiB of features at a time. What stays is a label and a
    weight a row, 12 bytes, and the moments of the features.

    Args:
        shards: Features, shape (n_i, d) each, of any float type, such as memory maps; or a function that returns an
            iterator over them, the same ones at every call.
        labels: Class ids 0…K−1 of all rows, in the order of the shards.
        C: How much the rows count against the penalty.
        weights: Of rows, at least 0, for example one over the number of images of each class × group cell; only their
            ratios count. None weighs all alike.
        classes: K; None takes the largest label.
        moments: Of all features, where they were merged already.

    Returns:
        Features as they are → logits; 1 output for two classes (above 0 is class 1), else K.

    Raises:
        InputError: if something does not fit; says what.
        TrainingError: if no layer is found.

    Example:
        >>> chance = np.random.default_rng(0)
        >>> labels = np.arange(200) % 2
        >>> features = (chance.normal(size=(200, 5)) + 2 * labels[:, None]).astype(np.float32)
        >>> layer = refit_shards([features[:80], features[80:]], labels)
        >>> tuple(layer.weight.shape)
        (1, 5)
    """
    if not callable(shards) and (isinstance(shards, np.ndarray) or not isinstance(shards, Sequence)):
        raise InputError(
            f"Expected a list of shards, or a function that returns an iterator over them; got "
            f"{type(shards).__name__}. Give [features] if there is one; an iterator can be read only once."
        )
    if not C > 0:
        raise InputError(f"C must be larger than 0; got {C}. 1e-3 is usual.")
    seen = _moments(shards) if moments is None else moments
    ids = checked_ids(labels, seen.rows, "labels", lowest=0)
    many = int(ids.max(initial=0)) + 1 if classes is None else classes
    if many < 2 or (found := np.unique(ids)).tolist() != list(range(many)):
        got = "one" if many < 2 else f"{found.tolist()[:10]}"
        raise InputError(
            f"Expected labels of two classes or more, each with a row, 0…{max(many, 2) - 1}; got {got}. Check "
            "`classes`."
        )
    given = None if weights is None else checked_vector(weights, seen.rows, "weights")
    if given is not None and (given.min() < 0 or not given.any()):
        raise InputError(
            f"Expected weights of 0 or more, not all 0; got {given.min():g} to {given.max():g}. Check them."
        )
    axes = Axes.of(seen, most=AXES)

    def coordinates() -> Iterator[NDArray[np.float32]]:
        return (axes(block) for shard in _each(shards) for block in blocks(shard))

    with one_thread():
        mean_one = None if given is None else given / given.mean()
        return axes.layer(regression(coordinates, ids, classes=many, C=C, weights=mean_one))


def _each(shards: Shards) -> Iterable[NDArray[Any]]:
    return shards() if callable(shards) else shards


def _moments(shards: Shards) -> Moments:
    found: Moments | None = None
    for shard in _each(shards):
        own = feature_moments(shard)
        found = own if found is None else found.merge(own)
    if found is None or not found.rows:
        raise InputError("Expected shards with at least one row of features; got none. Check where they lie.")
    return found
