"""Latent codes, arrays or tensors, in float64 blocks of bounded memory. Gradients end here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError

if TYPE_CHECKING:  # arrays need no torch
    import torch

__all__ = ["Codes", "array64", "block_rows", "blocks"]

Codes = TypeVar("Codes", NDArray[Any], "torch.Tensor")
"""Codes of shape (rows, width), one a row."""

_BLOCK_VALUES = 1 << 18  # 2 MiB of float64: what a processor's cache holds


def block_rows(width: int) -> int:
    """Rows of a block of codes of that width."""
    return max(1, _BLOCK_VALUES // width)


def blocks(latents: Codes, *, rows: int | None = None, seen: int = 0) -> Iterator[tuple[slice, Codes]]:
    """Where each block of rows stands, and a float64 copy of it.

    Args:
        latents: An array gives arrays, a tensor tensors on its device (MPS has no float64: on the CPU).
        rows: Of a block; None takes 2 MiB.
        seen: Rows that came before, as errors count them.

    Raises:
        InputError: if a code is no finite number.
    """
    step = rows or block_rows(latents.shape[1])
    for start in range(0, latents.shape[0], step):
        place = slice(start, start + step)
        block = _double(latents[place])
        with np.errstate(invalid="ignore", over="ignore"):
            total = float(block.sum())
        if not math.isfinite(total):  # only then is it worth the time to look at each number
            wrong = np.flatnonzero(~np.isfinite(array64(block)).all(axis=1))
            if wrong.size:
                raise InputError(
                    f"Latents must be finite; got NaN or infinity in row {seen + start + int(wrong[0])}. "
                    "Look for a training run that diverged or a broken image, or drop the row."
                )
        yield place, block


def array64(values: Any) -> NDArray[np.float64]:
    """As a float64 array in main memory."""
    if _is_tensor(values):
        values = _double(values).cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def _is_tensor(values: Any) -> bool:
    return hasattr(values, "detach")


def _double(part: Any) -> Any:
    """A copy."""
    if _is_tensor(part):
        from torch import float64

        part = part.detach()
        return (part.cpu() if part.device.type == "mps" else part).to(float64, copy=True)
    try:
        return np.array(part, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Latents must be numbers; got an array of {part.dtype}. Pass the encoder's output."
        ) from error
