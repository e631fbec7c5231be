"""Principal axes of what varies within the classes: features of any width become few numbers, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.density.cell_moments import CellMoments
from equipoise.density.principal import Moments, principal_axes
from equipoise.errors import InputError

__all__ = ["Axes", "Rotation", "axes_of", "rotation_of"]

VALUES = 1 << 22  # of a block: 16 MiB of float32
SAME = (
    "Features must differ between images; got the same ones in all of the half that finds slices. "
    "Look for a layer that is dead, or take features of another one."
)
LARGEST = 1e15  # of a feature: its square must be a float32

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Axes:
    """Where features are standardised, and what of their classes' means and of axes is taken then.

    Args:
        mean: Of each feature, shape (d,).
        scale: One over its standard deviation, 0 where it does not vary, shape (d,).
        directions: Orthonormal, shape (d, m).
        offsets: Mean of each class along the directions, shape (classes, m).
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    directions: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def __call__(self, features: NDArray[Any], labels: NDArray[np.int64]) -> Floats:
        """Rows on the axes, shape (n, m).

        Raises:
            InputError: if a feature is not finite.
        """
        placed = np.empty((len(features), self.directions.shape[1]), np.float32)
        axes = self.directions.astype(np.float32)
        for place, block in _standardised(features, self.mean, self.scale):
            placed[place] = block @ axes - self.offsets[labels[place]]
        return placed


@dataclass(frozen=True, eq=False)
class Rotation:
    """Axes of one class, centred.

    Args:
        mean: Shape (m,).
        axes: Orthonormal, shape (m, components).
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]

    def __call__(self, places: Floats) -> Floats:
        """Rows on the axes, shape (n, components)."""
        return np.asarray((places - self.mean) @ self.axes, np.float32)


def axes_of(
    features: NDArray[Any], labels: NDArray[np.int64], finding: NDArray[np.bool_], components: int
) -> Axes:
    """Principal axes, `components` or fewer, of the scatter of features within classes.

    Features are standardised, and the mean of its class is taken from each row; both, and the axes, are of the finding
    half alone. The first axis has the largest variance.

    Raises:
        InputError: if a feature is not finite, or all rows are the same.
    """
    mean, spread = _moments(features, finding)
    width, classes = features.shape[1], int(labels.max()) + 1
    scale = np.divide(1.0, spread, out=np.zeros(width), where=spread > 0)
    if not scale.any():
        raise InputError(SAME)
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
    return Axes(mean, scale, axes, means @ axes)


def rotation_of(places: Floats, finding: NDArray[np.bool_], components: int) -> Rotation:
    """Principal axes of one class, `components` or fewer, centred on the finding half."""
    own = places[finding].astype(np.float64)
    mean = own.mean(axis=0)
    centred = own - mean
    moments = Moments(
        len(own), torch.zeros(own.shape[1], dtype=torch.float64), torch.from_numpy(centred.T @ centred)
    )
    return Rotation(mean, principal_axes(moments, components=components).numpy())


def _moments(
    features: NDArray[Any], finding: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the finding half; 0 of a dimension that does not vary."""
    seen = CellMoments.of(np.empty((0, features.shape[1])), np.empty(0, np.int64), 1)
    for place, block in _blocks(features):
        own = block[finding[place]]
        seen = seen.merge(CellMoments.of(own, np.zeros(len(own), np.int64), 1))
    mean, spread = seen.mean[0], np.sqrt(seen.squares[0] / max(1, int(seen.rows[0])))
    return mean, np.where(spread > 1e-6 * np.abs(mean), spread, 0.0)


def _blocks(features: NDArray[Any]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    step = max(1, VALUES // features.shape[1])
    for start in range(0, len(features), step):
        place = slice(start, min(start + step, len(features)))
        with np.errstate(over="ignore"):  # of doubles; said to be too large later
            block = np.asarray(features[place]).astype(np.float32)
        if not (np.abs(block) <= LARGEST).all():
            wrong = np.flatnonzero(~(np.abs(block) <= LARGEST).all(axis=1))
            raise InputError(
                f"Features must be finite, and at most {LARGEST:g}; got others in row {start + int(wrong[0])}. "
                "Look for a network that diverged or a half that overflowed, or drop the row."
            )
        yield place, block


def _standardised(
    features: NDArray[Any], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    middle, factor = mean.astype(np.float32), scale.astype(np.float32)
    for place, block in _blocks(features):
        block -= middle
        block *= factor
        yield place, block
