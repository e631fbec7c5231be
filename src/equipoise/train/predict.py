"""Probabilities of images under a trained model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.train.device import device_of
from equipoise.train.loop import model_logits

__all__ = ["predict"]


def predict(
    model: Any, table: ImageTable, *, device: str = "auto", batch_size: int = 512
) -> NDArray[np.float64]:
    """Probability of the positive class of each image, shape (n,), in [0, 1]; the model is left as it was.

    Raises:
        InputError: if there is no such device.
    """
    target = device_of(device)
    home = next(model.parameters()).device
    try:
        logits = model_logits(model.to(target), table, device=target, batch_size=batch_size)
    finally:
        model.to(home)
    return 1 / (1 + np.exp(-logits))
