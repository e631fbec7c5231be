"""Layers that risk methods put on a model's features.

They start from a seed without touching torch's own chance, and work in the precision of what comes in, so that scores
are single precision at least: inside autocast, and in a model that was made half.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

__all__ = ["Dense", "bounded"]


class Dense(nn.Linear):
    """A dense layer in the precision of its input.

    Args:
        inputs: Features in.
        outputs: Features out.
        generator: Drives the starting weights, Glorot-uniform; None starts them at zero.
    """

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator | None) -> None:
        super().__init__(inputs, outputs)
        nn.init.zeros_(self.bias)
        if generator is None:
            nn.init.zeros_(self.weight)
        else:
            nn.init.xavier_uniform_(self.weight, generator=generator)

    def reset_parameters(self) -> None:
        """Nothing: the constructor does it, and draws none of torch's own random numbers."""

    def forward(self, input: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        """x Wᵀ + b."""
        with torch.autocast(input.device.type, enabled=False):
            return linear(input, self.weight.to(input.dtype), self.bias.to(input.dtype))


def bounded(values: Tensor, limit: float = 30.0) -> Tensor:
    """Nearly the same values while they are small, never beyond ±limit, and with a gradient everywhere.

    For log-variances: e^±30 is far outside of what any data need, and squares of it are finite.
    """
    return limit * torch.tanh(values / limit)
