"""What a trained model makes of images before it decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import nn

from equipoise.data import ImageTable
from equipoise.nn import evaluating, pixels
from equipoise.train.device import device_of
from equipoise.train.gan import Features

__all__ = ["has_hidden_layer", "hidden_features", "hidden_layer"]

BATCH = 512


def hidden_layer(model: Any) -> Features:
    """What the last layer of a trained model sees, as a function of images in [0, 1]."""
    network = model.encoder if hasattr(model, "encoder") else model.network
    # A user's encoder stands first in a sequence, the logit's layer behind it.
    features: Features = network[0] if isinstance(network, nn.Sequential) else network.features
    return features


def has_hidden_layer(model: Any) -> bool:
    """Whether `fit` built the model, so that its last layer is known."""
    network = getattr(model, "encoder", getattr(model, "network", None))
    return isinstance(network, nn.Sequential) or hasattr(network, "features")


def hidden_features(model: Any, table: ImageTable, *, device: str) -> Float32[ndarray, "n features"]:
    """The same of all images of a table; the model is left as it was."""
    where, home = device_of(device), next(model.parameters()).device
    layer = hidden_layer(model.to(where))
    found = []
    try:
        with evaluating(model), torch.inference_mode():
            for start in range(0, len(table), BATCH):
                rows = np.arange(start, min(start + BATCH, len(table)))
                found.append(layer(pixels(torch.from_numpy(table.batch(rows)).to(where))).float().cpu())
    finally:
        model.to(home)
    return torch.cat(found).flatten(1).numpy()
