"""Probabilities of images under a trained model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.train.loop import model_logits

__all__ = ["device_of", "predict"]


def device_of(name: str) -> torch.device:
    """The torch device of a name; "auto" takes an accelerator where there is one.

    Raises:
        InputError: if this machine has no such device.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"Expected a device that this machine has; got {name!r}. Try cpu.") from error
    return device


def predict(
    model: Any, table: ImageTable, *, device: str = "auto", batch_size: int = 512
) -> NDArray[np.float64]:
    """Probability of the positive class of each image, shape (n,), in [0, 1].

    Raises:
        InputError: if there is no such device.
    """
    target = device_of(device)
    home = next(model.parameters()).device
    logits = model_logits(model.to(target), table, device=target, batch_size=batch_size)
    model.to(home)
    return 1 / (1 + np.exp(-logits))
