"""Features in few coordinates: standardised, on their principal axes; and a layer on these as one on features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from equipoise.density.principal import Moments
from equipoise.errors import InputError

__all__ = ["AXES", "Axes", "Coefficients", "Coordinates", "blocks", "feature_moments"]

AXES = 256
Coordinates = NDArray[np.float32]
"""Rows on axes, shape (n, k)."""
Coefficients = NDArray[np.float64]
"""Of a layer on axes: shape (k + 1, outputs), the last row its biases; two classes have one output."""

BLOCK = 1 << 26  # bytes of single-precision features that are worked on at a time
CARRYING = 1e-7  # of the largest variance: axes below it are noise of rounding


@dataclass(frozen=True, eq=False)
class Axes:
    """Where features are standardised, and the axes of most of what varies then.

    Args:
        mean: Of each feature, shape (d,).
        std: Likewise; 1 where a feature is constant.
        directions: Orthonormal, of largest variance first, shape (d, k).
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    directions: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[Any] | Moments, *, most: int = AXES) -> Axes:
        """Axes of some rows, `most` at most.

        Args:
            features: Floats of shape (n, d); they may be memory-mapped. Or their moments, as `feature_moments` gives
                them, for example those of many shards, merged.
            most: Directions, at most.

        Raises:
            InputError: if features are no finite floats of shape (n, d), or moments are of no row.
        """
        moments = features if isinstance(features, Moments) else feature_moments(features)
        rows, mean, scatter = moments.rows, moments.mean.numpy(), moments.scatter.numpy()
        if not rows:
            raise InputError(
                "Axes need at least one row of features; got moments of none. Merge those of all shards."
            )
        std = np.sqrt(np.diag(scatter) / rows)
        constant = std <= 1e-6 * np.abs(mean)  # up to rounding
        std[constant] = 1
        values, vectors = np.linalg.eigh(scatter / rows / np.outer(std, std))
        many = max(1, min(most, int((values > CARRYING * values[-1]).sum())))
        directions = np.ascontiguousarray(vectors[:, ::-1][:, :many])
        directions[constant] = 0
        return cls(mean, std, directions)

    def __call__(self, features: NDArray[Any]) -> Coordinates:
        """Coordinates of rows, shape (n, k)."""
        turn = (self.directions / self.std[:, None]).astype(np.float32)
        centre = self.mean.astype(np.float32)
        placed = [(block - centre) @ turn for block in blocks(features)]
        return np.concatenate(placed) if placed else np.zeros((0, turn.shape[1]), np.float32)

    def layer(self, coefficients: Coefficients) -> nn.Linear:
        """The layer that gives the same logits from features as they are; single precision, on the CPU."""
        weight = self.directions @ coefficients[:-1] / self.std[:, None]
        bias = coefficients[-1] - self.mean @ weight
        with torch.random.fork_rng(devices=[]):  # of the numbers that it starts with
            layer = nn.Linear(*weight.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias))
        return layer


def feature_moments(features: NDArray[Any]) -> Moments:
    """Moments of features, which merge: in single precision block by block, so they may be memory-mapped.

    Args:
        features: Floats, shape (n, d); of an empty shard, n is 0.

    Raises:
        InputError: if they are no finite floats of shape (n, d), or too large to be squared.
    """
    if getattr(features, "ndim", 0) != 2 or not features.shape[1] or features.dtype.kind != "f":
        got = f"{getattr(features, 'dtype', type(features).__name__)} {getattr(features, 'shape', '')}"
        raise InputError(f"Features must be floats of shape (n, d); got {got}. Give one vector a row.")
    width, start = features.shape[1], 0
    nothing = torch.zeros(width, dtype=torch.float64)
    found = Moments(0, nothing, torch.outer(nothing, nothing))
    for block in blocks(features):
        with np.errstate(over="ignore", invalid="ignore"):
            mean = block.sum(0, dtype=np.float64) / len(block)
            centred = block - mean.astype(np.float32)
            scatter = (centred.T @ centred).astype(np.float64)
        _check_finite(block, mean, start)
        if not np.isfinite(scatter).all():
            raise InputError(
                "Expected features whose squares are numbers of single precision; got ones up to "
                f"{float(np.abs(block).max()):.3g}. Scale them down."
            )
        found = found.merge(Moments(len(block), torch.from_numpy(mean), torch.from_numpy(scatter)))
        start += len(block)
    return found


def blocks(features: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    """Rows in single precision, 64 MiB at a time."""
    step = max(1, BLOCK // (4 * features.shape[1]))
    for start in range(0, len(features), step):
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told
            yield np.asarray(features[start : start + step], np.float32)


def _check_finite(block: NDArray[np.float32], mean: NDArray[np.float64], start: int) -> None:
    if not np.isfinite(mean).all():
        wrong = start + int(np.flatnonzero(~np.isfinite(block).all(1))[0])
        raise InputError(
            f"Features must be finite; got NaN or infinity at row {wrong}. Look for the picture that it is of."
        )
