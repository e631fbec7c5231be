"""What a trained model makes of images before it decides."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor, nn

from equipoise.data import ImageTable
from equipoise.nn import BackboneClassifier, run_over
from equipoise.train.device import device_of
from equipoise.train.gan import Features

__all__ = ["has_hidden_layer", "hidden_features", "hidden_layer"]


def hidden_layer(model: Any) -> Features:
    """What the last layer of a trained model sees, as a function of images in [0, 1]."""
    network = model.encoder if hasattr(model, "encoder") else model.network
    # A user's encoder stands first in a sequence, the logit's layer behind it.
    features: Features = network[0] if isinstance(network, nn.Sequential) else network.features
    return features


def has_hidden_layer(model: Any) -> bool:
    """Whether `fit` built the model, so that its last layer is known."""
    if isinstance(model, BackboneClassifier):
        return False  # a whole network of the user's: its features are `nn.features`'
    network = getattr(model, "encoder", getattr(model, "network", None))
    return isinstance(network, nn.Sequential) or hasattr(network, "features")


def hidden_features(model: Any, table: ImageTable, *, device: str) -> Float32[ndarray, "n features"]:
    """The same of all images of a table; the model is left as it was."""
    found: list[Tensor] = []
    layer = hidden_layer(model)

    def keep(place: slice, features: Tensor) -> None:
        found.append(
            features.float().cpu().clone()
        )  # a network may write all its results into the same memory

    run_over(model, table, keep, call=layer, device=device_of(device))
    return torch.cat(found).flatten(1).numpy()
