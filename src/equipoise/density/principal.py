"""Principal axes of latent codes, from moments that can be merged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

__all__ = ["Moments", "chunk_moments", "principal_axes"]


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and scatter of some rows.

    Args:
        rows: Number of rows.
        mean: Mean of each dimension.
        scatter: Sum of the outer products of the rows about their mean.
    """

    rows: int
    mean: Float64[Tensor, " k"]
    scatter: Float64[Tensor, "k k"]

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets of rows; up to rounding, as if they had come together.

        Source: Chan, Golub, LeVeque, 1983, Algorithms for computing the sample variance, equation 2.1.
        """
        rows = self.rows + other.rows
        step = other.mean - self.mean
        between = torch.outer(step, step) * (self.rows * other.rows / rows)
        return Moments(rows, self.mean + step * (other.rows / rows), self.scatter + other.scatter + between)


def chunk_moments(latents: Float64[Tensor, "m k"]) -> Moments:
    """Moments of the rows of one chunk."""
    mean = latents.mean(0)
    centred = latents - mean
    return Moments(latents.shape[0], mean, centred.T @ centred)


def principal_axes(moments: Moments, *, components: int) -> Float64[Tensor, "k m"]:
    """Directions of largest variance, orthonormal, the largest first.

    Fewer than `components` if no more carry variance (1e-12 of the largest); at least one.
    """
    values, axes = torch.linalg.eigh(moments.scatter)
    carrying = max(1, int((values > 1e-12 * values[-1]).sum()))
    leading: Tensor = axes.flip(1)[:, : min(components, carrying)]
    return leading.contiguous()
