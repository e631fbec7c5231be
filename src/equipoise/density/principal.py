"""Principal axes of latent codes, from moments that can be merged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float64
from torch import Tensor

from equipoise.density.chunks import Latents, chunks
from equipoise.errors import InputError

__all__ = ["Moments", "chunk_moments", "moments", "principal_axes"]


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
        """Moments of both sets of rows, of which one may be empty; up to rounding, as if they had come together.

        Raises:
            InputError: if rows differ in width.

        Source: Chan, Golub, LeVeque, 1983, Algorithms for computing the sample variance, equation 2.1.
        """
        if len(self.mean) != len(other.mean):
            raise InputError(
                f"Moments that merge must be of rows of one width; got {len(self.mean)} and {len(other.mean)} "
                "numbers a row. Take both from the same network."
            )
        if not (self.rows and other.rows):
            return self if self.rows else other
        rows = self.rows + other.rows
        step = other.mean - self.mean
        between = torch.outer(step, step) * (self.rows * other.rows / rows)
        return Moments(rows, self.mean + step * (other.rows / rows), self.scatter + other.scatter + between)


def chunk_moments(latents: Float64[Tensor, "m k"]) -> Moments:
    """Moments of the rows of one chunk."""
    mean = latents.mean(0)
    centred = latents - mean
    return Moments(latents.shape[0], mean, centred.T @ centred)


def moments(latents: Latents) -> Moments:
    """Moments of all rows, in double precision, chunk by chunk.

    Raises:
        InputError: if the codes are no finite table of at least one row.

    Example:
        >>> codes = torch.arange(6.0).reshape(3, 2)
        >>> found = moments(codes[:1]).merge(moments(codes[1:]))
        >>> found.rows, found.mean.tolist(), found.scatter.tolist()
        (3, [2.0, 3.0], [[8.0, 8.0], [8.0, 8.0]])
    """
    return reduce(Moments.merge, (chunk_moments(chunk) for chunk in chunks(latents, squared=True)))


def principal_axes(moments: Moments, *, components: int) -> Float64[Tensor, "k m"]:
    """Directions of largest variance, orthonormal, the largest first.

    Fewer than `components` if no more carry variance (1e-12 of the largest); at least one.
    """
    values, axes = torch.linalg.eigh(moments.scatter)
    carrying = max(1, int((values > 1e-12 * values[-1]).sum()))
    leading: Tensor = axes.flip(1)[:, : min(components, carrying)]
    return leading.contiguous()
