"""Latent codes as a numpy array or a torch tensor: read in float64 blocks, answered in the form they came in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from numpy.typing import NDArray
from torch import Tensor

from equipoise.errors import InputError

__all__ = ["Codes", "array64", "blank", "blocks", "check", "distances64", "put", "same_place"]

Codes = TypeVar("Codes", NDArray[Any], Tensor)
"""Codes of shape (rows, width), one a row, of any float type; what comes back has the same form and type."""

_BLOCK_VALUES = 1 << 18  # 2 MiB of float64: what a processor's cache holds


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


def blocks(latents: Codes, *, rows: int | None = None) -> Iterator[tuple[slice, Codes]]:
    """Where each block of rows stands, and a float64 copy of it. Gradients end here.

    Raises:
        InputError: if a code is not finite.
    """
    step = rows or max(1, _BLOCK_VALUES // latents.shape[1])
    for start in range(0, latents.shape[0], step):
        place = slice(start, start + step)
        part = latents[place]
        block = np.array(part, dtype=np.float64) if isinstance(part, np.ndarray) else _double(part)
        with np.errstate(invalid="ignore", over="ignore"):
            total = float(block.sum())
        if not math.isfinite(total):  # only then is it worth the time to look at each number
            wrong = np.flatnonzero(~np.isfinite(array64(block)).all(axis=1))
            if wrong.size:
                raise InputError(
                    f"Latents must be finite; got NaN or infinity in row {start + int(wrong[0])}. "
                    "Look for an encoder that diverged, or drop the row."
                )
        yield place, block


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


def array64(values: Any) -> NDArray[np.float64]:
    """As a float64 array in main memory."""
    if isinstance(values, Tensor):
        return _double(values).cpu().numpy()
    return np.asarray(values, dtype=np.float64)


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


def _double(part: Tensor) -> Tensor:
    part = part.detach()
    part = part.cpu() if part.device.type == "mps" else part  # MPS has no float64
    return part.to(torch.float64, copy=True)
