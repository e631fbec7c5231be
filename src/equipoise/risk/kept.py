"""What a network made of pictures, kept, as a network itself: methods that look no further learn and score on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from equipoise.errors import InputError

__all__ = ["KeptFeatures"]


class KeptFeatures(nn.Module):
    """Rows of features with the prediction behind them → the prediction; `layer` is where the features are.

    A method with `on_features` tells of such rows what it tells of the pictures that they come from, without another
    pass of the network.

    Args:
        dimensions: Length of a feature vector.

    Example:
        >>> from equipoise.risk import Neighbours
        >>> features, logits = np.random.default_rng(0).random((60, 8)), np.zeros((60, 2))
        >>> rows = KeptFeatures.rows(features, logits)
        >>> wrapped = Neighbours()(KeptFeatures(8), layer=KeptFeatures.layer).fit([rows]).eval()
        >>> wrapped(rows[:4], return_risk=True)[1].representation.shape
        torch.Size([4])
    """

    layer = "features"

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.features = nn.Identity()

    @staticmethod
    def rows(features: NDArray[Any], prediction: NDArray[Any]) -> Float[Tensor, "batch n"]:
        """Its input, single precision, from features (batch, d) and what was predicted (batch, k)."""
        parts = [torch.from_numpy(np.ascontiguousarray(part)).float() for part in (features, prediction)]
        return torch.cat(parts, 1)

    def forward(self, rows: Float[Tensor, "batch n"]) -> Float[Tensor, "batch k"]:
        """The prediction."""
        if rows.ndim != 2 or rows.shape[1] <= self.dimensions:
            raise InputError(
                f"Expected rows of {self.dimensions} features and a prediction; got shape {tuple(rows.shape)}. Make "
                "them with KeptFeatures.rows."
            )
        self.features(rows[:, : self.dimensions])
        return rows[:, self.dimensions :]
