"""Latent codes in any form, read as float64 chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from torch import Tensor

from equipoise.codes import block_rows, blocks
from equipoise.errors import InputError

__all__ = ["Latents", "chunks", "joined"]

#: Codes, shape (n, d), as a tensor or an array.
Latents: TypeAlias = (
    Tensor | NDArray[Any] | Sequence[NDArray[Any] | Tensor] | Callable[[], Iterable[NDArray[Any] | Tensor]]
)
"""Codes, one row an image: an array, memory map or tensor of shape (n, k); a list of such; or, for more
than memory holds, a function that returns an iterator over such, the same ones at every call."""

LARGEST = 1e150
_JOINED_ROWS = 1 << 16  # room for results at the start; pages that nothing is written to cost nothing


def chunks(
    latents: Latents, *, rows: int | None = None, squared: bool = False
) -> Iterator[Float64[Tensor, "m k"]]:
    """The rows of `latents` in order, as float64 copies of at most `rows` rows (2 MiB by default).

    Small parts, such as the batches of an encoder, are joined. Who adds up squares says so, `squared`.

    Raises:
        InputError: if a part is not a table of finite numbers, for squares of at most 1e150; parts differ in width; or
            there are no rows.
    """
    width: int | None = None
    seen = held = 0
    pending: list[Tensor] = []
    for part in _parts(latents):
        if part.ndim != 2:
            raise InputError(
                f"Latents must have shape (rows, dimensions); got shape {tuple(part.shape)}. "
                "Pass one row an image."
            )
        if width is None:
            width = int(part.shape[1])
        if part.shape[1] != width or width == 0:
            raise InputError(
                f"All latents must have the same number of dimensions, at least 1; got {width} and then "
                f"{part.shape[1]}. Encode all images with the same model."
            )
        step = rows or block_rows(width)
        for _, block in blocks(part, rows=step, seen=seen):
            chunk = block if isinstance(block, Tensor) else torch.from_numpy(block)
            if squared and chunk.abs().max() > LARGEST:
                row = seen + int((chunk.abs() > LARGEST).any(1).nonzero()[0])
                raise InputError(
                    f"Latents must be at most {LARGEST:g} in size; got {float(chunk.abs().max()):g}, the first in row "
                    f"{row}. Scale them, or look for a training run that diverged."
                )
            seen += chunk.shape[0]
            if pending and held + chunk.shape[0] > step:
                yield torch.cat(pending) if len(pending) > 1 else pending[0]
                pending, held = [], 0
            pending.append(chunk)
            held += chunk.shape[0]
    if pending:
        yield torch.cat(pending) if len(pending) > 1 else pending[0]
    if not seen:
        raise InputError("Expected latents of at least one image; got no rows. Check the encoder's input.")


def joined(parts: Iterable[Float[Tensor, "m ..."]]) -> Float[Tensor, "n ..."]:
    """The parts one after another, as `torch.cat(list(parts))`, in memory that does not grow with their making.

    A list would keep each small part just above the large temporaries that it was computed from, where the
    allocator can no longer join the room they leave: several MiB were lost for every 4 KiB kept. Here a part is
    copied into one tensor, which doubles when it is full, and dies with its temporaries. No parts give no rows.
    """
    whole, filled = torch.zeros(0), 0
    for part in parts:
        end = filled + part.shape[0]
        if end > whole.shape[0]:
            larger = part.new_empty(max(2 * end, _JOINED_ROWS), *part.shape[1:])
            if filled:
                larger[:filled] = whole[:filled]
            whole = larger
        whole[filled:end] = part
        filled = end
    return whole[:filled].clone()


def _parts(latents: Latents) -> Iterable[Any]:
    if isinstance(latents, (np.ndarray, Tensor)):
        return (latents,)
    if callable(latents):
        return latents()
    if isinstance(latents, Sequence) and all(isinstance(part, (np.ndarray, Tensor)) for part in latents):
        return latents
    raise InputError(
        "Latents must be an array or tensor (n, k), a list of them, or a function that returns an iterator "
        f"over them; got {type(latents).__name__}. An iterator can be read once only and codes are read "
        "more than once: pass a function that makes it."
    )
