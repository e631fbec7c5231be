r"""How rare a picture looks, before any model is trained: its structure and its light.

A VAE of photographs spends its codes on light, background and pose, and finds the rarest people near its
centre. What separates them better are two plain views of the picture's middle:

*structure*: the luminance of the central part, small, averaged with its mirror image, with mean 0 and standard
deviation 1, so that neither pose to the side nor light counts;

*light*: two numbers, the 90th percentile of the luminance in the very centre and the 95th of the whole picture:
how bright the subject is next to how bright the picture is.

Each is scored by the distance to a near neighbour among the training pictures; the ranks of both, as normal
scores, are added, and the rank of the sum is the rarity. A rank is bounded: a single strange picture is not drawn
for ever. No labels and no training go in. It supposes that the subject is in the middle.

Source: our own; chosen while looking at how often each race of FairFace's training file would be drawn, so
its figures on FairFace are optimistic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from equipoise.density.agreement import ranks
from equipoise.density.chunks import joined
from equipoise.density.neighbours import NeighbourDensity
from equipoise.errors import InputError

__all__ = ["Pictures", "appearance_rarity", "light", "structure"]

Pictures = Callable[[], Iterable[NDArray[np.uint8]]]
"""A function that returns an iterator over uint8 images (m, height, width, channels), the same at every call."""

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


def appearance_rarity(pictures: Pictures, *, reference: int = 2048) -> Float64[Tensor, " n"]:
    """How rare each picture looks: its rank among the training pictures, in (0, 1), higher = rarer.

    Args:
        pictures: The training pictures, in chunks; read three times, never held as a whole.
        reference: Pictures that each is compared with; the cost of a picture grows with it.

    Raises:
        InputError: if there are fewer than 60 pictures: too few to call one rare.
    """

    def views(view: Callable[[Tensor], Tensor]) -> Callable[[], Iterable[Tensor]]:
        return lambda: (view(torch.from_numpy(part)) for part in pictures())

    lights = joined(views(light)()).double()
    if len(lights) < 60:
        raise InputError(
            f"Rarity by appearance needs at least 60 images of a class; got {len(lights)}. "
            "Add images, or train uniformly."
        )
    lights = (lights - lights.mean(0)) / lights.std(0).clamp_min(1e-6)
    kept = min(reference, len(lights)) / len(lights)  # a sample has its neighbours further away
    common = [
        NeighbourDensity(max(1, round(20 * kept)), reference=reference, components=20)
        .fit(views(structure))
        .log_prob(views(structure), leave_one_out=True),
        NeighbourDensity(max(1, round(50 * kept)), reference=reference)
        .fit(lights)
        .log_prob(lights, leave_one_out=True),
    ]
    structures, lightings = (torch.special.ndtri(ranks(-log_prob)) for log_prob in common)
    return ranks(structures + lightings)


def _part(images: Tensor, share: tuple[float, float]) -> Tensor:
    side = images.shape[1]
    first = round(side * share[0])
    inside = slice(first, max(round(side * share[1]), first + 1))
    return images[:, inside, inside]


def _percentile(values: Tensor, share: float) -> Tensor:
    """The value of that rank in each row; selecting in NumPy is several times as fast as sorting."""
    place = round(share * (values.shape[1] - 1))
    return torch.from_numpy(np.partition(values.numpy(), place, axis=1)[:, place])
