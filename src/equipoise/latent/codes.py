"""Latent codes as a numpy array or a torch tensor: answers have the form and the type that the codes came in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from numpy.typing import NDArray
from torch import Tensor

from equipoise.codes import Codes, array64, blocks
from equipoise.errors import InputError

__all__ = ["blank", "check", "distances64", "put", "same_place"]


def check(latents: Any, width: int | None = None) -> None:
    """Refuse what is no table of floats, or not `width` wide (None takes any width).

    Raises:
        InputError: says what came and what to do.
    """
    if isinstance(latents, np.ndarray):
        floats = np.issubdtype(latents.dtype, np.floating)
    elif isinstance(latents, Tensor):
        floats = latents.is_floating_point()
    else:
        raise InputError(
            f"Latents must be a numpy array or a torch tensor; got {type(latents).__name__}. Convert them."
        )
    if not floats:
        raise InputError(
            f"Latents must be floats; got {latents.dtype}. Pass what the generator takes or the encoder gives."
        )
    if latents.ndim != 2 or latents.shape[1] == 0:
        raise InputError(
            f"Latents must have shape (rows, dimensions); got {tuple(latents.shape)}. Flatten each to one row."
        )
    if width is not None and latents.shape[1] != width:
        raise InputError(
            f"Latents must have {width} dimensions, as fitted; got {latents.shape[1]}. "
            "Use latents and hyperplanes of one generator."
        )


def distances64(
    latents: Codes,
    weights: Float64[ndarray, "m k"],
    offsets: Float64[ndarray, " m"],
    *,
    rows: int | None = None,
) -> Float64[ndarray, "n m"]:
    """A z + b of every row, in float64 whatever the type of the codes."""
    check(latents, weights.shape[1])
    found = np.empty((len(latents), len(offsets)))
    for place, block in blocks(latents, rows=rows):
        found[place] = array64(block @ same_place(weights.T, block)) + offsets
    return found


def same_place(values: NDArray[np.float64], block: Codes) -> Codes:
    """The values as what `block` is: array or tensor, on its device."""
    return torch.tensor(values, device=block.device) if isinstance(block, Tensor) else values


def blank(latents: Codes, *shape: int) -> Codes:
    """Room for an answer of the form, type and device of the codes."""
    return latents.new_empty(shape) if isinstance(latents, Tensor) else np.empty(shape, latents.dtype)


def put(found: Codes, place: Any, values: Codes) -> None:
    """Write float64 values into an answer, rounded to its type."""
    if isinstance(found, Tensor):
        found[place] = values.to(found.dtype).to(found.device)
    else:
        found[place] = values
