"""From stored pictures to what a model takes: one function for training, encoding and scoring alike."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

__all__ = ["pixels"]


def pixels(
    images: UInt8[Tensor, "batch height width channels"],
    *,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch channels height width"]:
    """Pixels in [0, 1], channels-last in memory (which costs nothing here: that is how they are stored).

    Example:
        >>> pixels(torch.full((1, 1, 2, 1), 255, dtype=torch.uint8))
        tensor([[[[1., 1.]]]])
    """
    return images.permute(0, 3, 1, 2).to(dtype).div_(255)
