"""Vectors on a scale on which distances mean something."""

from __future__ import annotations

from typing import Literal

import torch

from equipoise.density.chunks import Latents, chunks
from equipoise.density.principal import moments
from equipoise.errors import InputError

__all__ = ["Normalisation", "normalised"]

Normalisation = Literal["cosine", "standardised", "raw"]
NORMALISATIONS = ("cosine", "standardised", "raw")


def normalised(vectors: Latents, how: Normalisation) -> Latents:
    """The vectors on a scale on which distances mean something.

    Args:
        vectors: One row a picture.
        how: "cosine": each row to length 1, so that its direction counts alone (rows of 0 stay 0). "standardised":
            each dimension to mean 0 and standard deviation 1 over these rows, so that no unit counts more for its
            size (dimensions that do not vary become 0). "raw": as they are.

    Returns:
        Codes for any density, computed chunk by chunk as they are read.

    Raises:
        InputError: if `how` is not one of these.
    """
    if how not in NORMALISATIONS:
        raise InputError(
            f"normalisation must be one of {', '.join(NORMALISATIONS)}; got {how!r}. Choose one of them."
        )
    if how == "raw":
        return vectors
    if how == "cosine":
        return lambda: (
            torch.nn.functional.normalize(chunk, dim=1) for chunk in chunks(vectors, squared=True)
        )
    found = moments(vectors)
    mean, spread = found.mean, (found.scatter.diagonal() / found.rows).clamp_min(0).sqrt()
    varies = spread > 1e-9 * spread.max().clamp_min(torch.finfo(torch.float64).tiny)
    scale = torch.where(varies, 1 / spread, torch.zeros_like(spread))
    return lambda: ((chunk - mean) * scale for chunk in chunks(vectors))
