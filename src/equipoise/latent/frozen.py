"""Somebody's network, run as it is on some rows at a time: in evaluation mode, without gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from equipoise.errors import InputError
from equipoise.nn import placed, slices

__all__ = ["frozen", "in_batches", "parts"]


@contextlib.contextmanager
def frozen(network: Any) -> Iterator[None]:
    """Evaluation mode and no gradients inside; the mode of every submodule comes back."""
    with placed(network), torch.no_grad():
        yield


def parts(rows: Tensor, size: int) -> Iterator[Tensor]:
    """Some rows at a time, in order.

    Raises:
        InputError: if there is no row, or a part would have none.
    """
    if len(rows) == 0 or size < 1:
        raise InputError(
            f"Expected at least one row and a batch size of at least 1; got {len(rows)} rows and {size}. "
            "Check what was selected."
        )
    return (rows[place] for place in slices(len(rows), size))


def in_batches(function: Callable[[Tensor], Tensor], rows: Tensor, batch_size: int) -> Tensor:
    """The function of some rows at a time, gathered on the CPU. Raises as `parts`."""
    found = []
    for part in parts(rows, batch_size):
        values = function(part).detach()
        # a network may write all its results into the same memory
        found.append(values.cpu() if values.device.type != "cpu" else values.clone())
    return torch.cat(found)
