"""The optimizer of a run, and which layers learn how fast."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from equipoise.train.recipe import Optimisation

__all__ = ["optimizer_of"]


def optimizer_of(optimisation: Optimisation, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer, with Keras' defaults where they differ from PyTorch's."""
    rate, parameters = optimisation.learning_rate, _by_rate(optimisation, model)
    if optimisation.optimizer == "adagrad":
        return torch.optim.Adagrad(parameters, rate, initial_accumulator_value=0.1, eps=1e-7)
    if optimisation.optimizer == "adadelta":
        return torch.optim.Adadelta(parameters, rate, rho=0.95, eps=1e-7)
    if optimisation.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters, rate, eps=1e-7, weight_decay=optimisation.weight_decay, fused=True
        )
    return torch.optim.Adam(parameters, rate, eps=1e-7, fused=True)


def _by_rate(optimisation: Optimisation, model: nn.Module) -> Any:
    """Parameters, or groups of them with the share of the rate that each has: a group a layer, in order."""
    first = optimisation.first_layer_rate
    if first is None:
        return model.parameters()
    layers: list[list[nn.Parameter]] = []
    met: set[nn.Parameter] = set()  # layers may share weights
    for layer in model.modules():
        own = [p for p in layer.parameters(recurse=False) if p.requires_grad and p not in met]
        met.update(own)
        layers += [own] if own else []
    last = max(1, len(layers) - 1)
    return [{"params": own, "share": first ** (1 - place / last)} for place, own in enumerate(layers)]
