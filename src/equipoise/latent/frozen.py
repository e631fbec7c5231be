"""Somebody's network, run as it is: in evaluation mode, without gradients, and afterwards as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.nn import evaluating

__all__ = ["frozen", "home", "in_batches", "parts"]


@contextlib.contextmanager
def frozen(network: Any) -> Iterator[None]:
    """Evaluation mode and no gradients inside; the mode of every submodule comes back."""
    with evaluating(*([network] if isinstance(network, nn.Module) else [])), torch.no_grad():
        yield


def home(network: Any) -> tuple[torch.device, torch.dtype]:
    """Where a network's weights are, and of what float type; what has none gets float32 on the CPU."""
    if isinstance(network, nn.Module):
        for values in chain(network.parameters(), network.buffers()):
            if values.is_floating_point():
                return values.device, values.dtype
    return torch.device("cpu"), torch.float32


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
    return (rows[start : start + size] for start in range(0, len(rows), size))


def in_batches(function: Callable[[Tensor], Tensor], rows: Tensor, batch_size: int) -> Tensor:
    """The function of some rows at a time, gathered on the CPU. Raises as `parts`."""
    found = []
    for part in parts(rows, batch_size):
        values = function(part).detach()
        # a network may write all its results into the same memory
        found.append(values.cpu() if values.device.type != "cpu" else values.clone())
    return torch.cat(found)
