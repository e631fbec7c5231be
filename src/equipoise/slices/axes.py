"""Principal axes of what varies within the classes: features of any width become few numbers, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.density.principal import Moments, principal_axes
from equipoise.errors import InputError

__all__ = ["on_axes", "rotated"]

VALUES = 1 << 22  # of a block: 16 MiB of float32
LARGEST = 1e15  # of a feature: its square must be a float32

Floats = NDArray[np.float32]


def on_axes(
    features: NDArray[Any], labels: NDArray[np.int64], finding: NDArray[np.bool_], components: int
) -> Floats:
    """Features on principal axes of their scatter within classes, shape (n, components or fewer).

    Features are standardised, and the mean of its class is taken from each row; both, and the axes, are of the finding
    half alone. The first axis has the largest variance.

    Raises:
        InputError: if a feature is not finite, or all rows are the same.
    """
    mean, spread = _moments(features, finding)
    width, classes = features.shape[1], int(labels.max()) + 1
    scale = np.divide(1.0, spread, out=np.zeros(width), where=spread > 0)
    if not scale.any():
        raise InputError(
            "Features must differ between images; got the same ones in all of the half that finds slices. "
            "Look for a layer that is dead, or take features of another one."
        )
    sums, counts = np.zeros((classes, width)), np.bincount(labels[finding], minlength=classes)
    scatter = np.zeros((width, width))
    for place, block in _standardised(features, mean, scale):
        own, mine = block[finding[place]], labels[place][finding[place]]
        scatter += own.T @ own
        order = np.argsort(mine, kind="stable")
        met, starts = np.unique(mine[order], return_index=True)
        if len(met):
            sums[met] += np.add.reduceat(own[order], starts, axis=0)
    means = sums / np.maximum(counts, 1)[:, None]
    scatter -= (sums.T * (1 / np.maximum(counts, 1))) @ sums
    moments = Moments(int(finding.sum()), torch.zeros(width, dtype=torch.float64), torch.from_numpy(scatter))
    axes = principal_axes(moments, components=components).numpy()
    placed, offsets = np.empty((len(features), axes.shape[1]), np.float32), means @ axes
    axes = axes.astype(np.float32)
    for place, block in _standardised(features, mean, scale):
        placed[place] = block @ axes - offsets[labels[place]]
    return placed


def rotated(places: Floats, finding: NDArray[np.bool_], components: int) -> Floats:
    """Rows of one class on axes of their own, shape (n, components or fewer), centred on the finding half."""
    own = places[finding].astype(np.float64)
    centred = own - own.mean(axis=0)
    moments = Moments(
        len(own), torch.zeros(own.shape[1], dtype=torch.float64), torch.from_numpy(centred.T @ centred)
    )
    axes = principal_axes(moments, components=components).numpy()
    return np.asarray((places - own.mean(axis=0)) @ axes, np.float32)


def _moments(
    features: NDArray[Any], finding: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the finding half; 0 of a dimension that does not vary."""
    many, mean, squares = 0, np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for place, block in _blocks(features):
        if not (np.abs(block) <= LARGEST).all():
            wrong = np.flatnonzero(~(np.abs(block) <= LARGEST).all(axis=1))
            raise InputError(
                f"Features must be finite, and at most {LARGEST:g}; got others in row {place.start + int(wrong[0])}. "
                "Look for a network that diverged or a half that overflowed, or drop the row."
            )
        own = block[finding[place]].astype(np.float64)
        if not len(own):
            continue
        middle, total = own.mean(axis=0), many + len(own)
        step = middle - mean
        squares += ((own - middle) ** 2).sum(axis=0) + step**2 * (many * len(own) / total)
        mean += step * (len(own) / total)
        many = total
    spread = np.sqrt(squares / max(1, many))
    return mean, np.where(spread > 1e-6 * np.abs(mean), spread, 0.0)


def _blocks(features: NDArray[Any]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    step = max(1, VALUES // features.shape[1])
    for start in range(0, len(features), step):
        place = slice(start, min(start + step, len(features)))
        with np.errstate(over="ignore"):  # of doubles; said to be too large later
            yield place, np.asarray(features[place]).astype(np.float32)


def _standardised(
    features: NDArray[Any], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    middle, factor = mean.astype(np.float32), scale.astype(np.float32)
    for place, block in _blocks(features):
        block -= middle
        block *= factor
        yield place, block
