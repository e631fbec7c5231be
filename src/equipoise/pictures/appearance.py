"""Two plain views of a picture's middle, that tell how it looks: its structure and its light.

*structure*: the luminance of the central part, small, averaged with its mirror image, with mean 0 and standard
deviation 1, so that neither pose to the side nor light counts;

*light*: two numbers, the 90th percentile of the luminance in the very centre and the 95th of the whole picture:
how bright the subject is next to how bright the picture is.

They suppose that the subject is in the middle.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

__all__ = ["light", "luminance", "structure"]

MIDDLE = 0.22, 0.78  # what counts as the subject's surroundings, shares of the side
CENTRE = 0.33, 0.67  # what counts as the subject
SIDE = 18  # pixels a side of the structure
LUMA = 0.299, 0.587, 0.114  # ITU-R BT.601


def luminance(images: UInt8[Tensor, "m height width channels"]) -> Float[Tensor, "m height width"]:
    """Luma of RGB in [0, 1]; grey images as they are."""
    if images.shape[3] == 1:
        return images[..., 0].to(torch.float32) / 255
    # Not a matrix product: its rounding depends on how many pictures come at once, and would break ties.
    red, green, blue = (images[..., channel] * (weight / 255) for channel, weight in enumerate(LUMA))
    return red + green + blue


def structure(images: UInt8[Tensor, "m height width channels"]) -> Float[Tensor, "m pixels"]:
    """The middle of each picture, 18 × 18, symmetrised, mean 0, standard deviation 1; 0 where nothing varies."""
    small = adaptive_avg_pool2d(luminance(_part(images, MIDDLE))[:, None], SIDE)[:, 0]
    flat = ((small + small.flip(2)) / 2).flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return flat / (flat.std(1, correction=0, keepdim=True) + 4e-6)


def light(images: UInt8[Tensor, "m height width channels"]) -> Float[Tensor, "m 2"]:
    """90th percentile of the luminance in the centre, 95th percentile of the whole picture, in [0, 1]."""
    step = max(1, images.shape[1] // 32)
    centre = luminance(_part(images, CENTRE)).flatten(1)
    whole = luminance(images[:, ::step, ::step]).flatten(1)
    return torch.stack([_percentile(centre, 0.9), _percentile(whole, 0.95)], 1)


def _part(images: Tensor, share: tuple[float, float]) -> Tensor:
    side = images.shape[1]
    first = round(side * share[0])
    inside = slice(first, max(round(side * share[1]), first + 1))
    return images[:, inside, inside]


def _percentile(values: Tensor, share: float) -> Tensor:
    """The value of that rank in each row; selecting in NumPy is several times as fast as sorting."""
    place = round(share * (values.shape[1] - 1))
    return torch.from_numpy(np.partition(values.numpy(), place, axis=1)[:, place])
